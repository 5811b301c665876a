"""A site with a million files in its catalog: how soon it answers, how much memory it takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.programs import peak_of, timed
from benchmarks.results import Results, Target
from benchmarks.sites import ORCHESTRATOR, Site

FILES_PER_STUDY = 40
FORMAT = 1


def site_with_many(folder: Path, images: Path, count: int) -> Site:
    """Make, or find, a site that backs up `images` and knows `count` files of another store.

    The files of that store do not exist; its rows are written by the code that writes all rows.
    """
    marker = folder / "many.json"
    site = Site(folder / "site", images)
    wanted = {"count": count, "images": str(images), "format": FORMAT}
    if marker.exists() and json.loads(marker.read_text()) == wanted:
        return site
    print(f"making a catalog of {count} files (once; it is kept)", flush=True)
    marker.unlink(missing_ok=True)
    site.make()
    site.run("backup")
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    with site.file.open("a", encoding="utf-8") as stream:
        stream.write(f'\n[stores.archive]\nkind = "folder"\npath = {json.dumps(str(archive))}\n')
        stream.write('jurisdictions = ["US-TX"]\nrpo = "24h"\nrto = "4h"\n')
    site.run("init", str(site.folder))
    _fill(site, count)
    marker.write_text(json.dumps(wanted))
    return site


def _fill(site: Site, count: int) -> None:
    from orchestrator.catalog import files
    from orchestrator.dicom.dates import study_reference_date
    from orchestrator.wiring import open_site

    opened = open_site(site.file)
    with opened.catalog.transaction() as session:
        files.apply_changes(
            session,
            "archive",
            run_id="benchmark",
            changed=_entries(count),
            gone=(),
            study_date=study_reference_date,
            keys=opened.catalog.keys,
        )
    opened.catalog.dispose()


def _entries(count: int) -> Iterator[object]:
    from orchestrator.manifest import FileStat, ManifestEntry

    for number in range(count):
        study = number // FILES_PER_STUDY
        uid = f"1.2.826.0.1.3680043.9.7777.9.{study}"
        yield ManifestEntry(
            path=b"%d/st%06d/im%07d.dcm" % (2010 + study % 14, study, number),
            kind="file",
            state="good",
            stat=FileStat(100_000, 1_700_000_000_000_000_000 + number, number, number),
            sha256=hashlib.sha256(b"%d" % number).hexdigest(),
            dicom={
                "study_instance_uid": uid,
                "series_instance_uid": f"{uid}.1",
                "sop_instance_uid": f"{uid}.1.{number}",
                "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
                "modality": "CT",
                "patient_id": f"C{study // 3:06}",
                "patient_name": f"Corpus^Patient{study // 3}",
                "study_date": f"{2010 + study % 14}0315",
            },
            since="benchmark",
        )


def answers(site: Site, rounds: int, results: Results, *, count: int) -> None:
    """Measure how soon the command line answers."""
    for _ in range(rounds):
        results.add("help", timed([ORCHESTRATOR, "--help"], env=site.env))
        results.add("status", timed(site.argv("status"), env=site.env, expect=(0, 3, 1)))
    wall = {name: [t.wall_s for t in results.timings[name]] for name in ("help", "status")}
    results.figure("orchestrator --help", wall["help"], "s", Target(at_most=0.4))
    what = f"orchestrator status, {count} files in the catalog"
    results.figure(what, wall["status"], "s", Target(at_most=1.5))


def memory_with_many(site: Site, results: Results, *, count: int) -> None:
    """Measure an unchanged night of a store beside another with many files in the catalog."""
    peak = peak_of(site.argv("backup", next(_stores(site))), env=site.env)
    what = f"peak memory, unchanged night, {count} files of another store in the catalog"
    results.figure(what, [peak.main_mib], "MiB", Target(at_most=150))


def memory_of_first_backup(folder: Path, images: Path, results: Results, *, name: str) -> None:
    """Measure a first backup and the night after it."""
    site = Site(folder / "memory", images).make()
    for what in ("first backup", "unchanged night"):
        peak = peak_of(site.argv("backup"), env=site.env)
        print(f"  {name} {what}: {peak}", flush=True)
        results.figure(f"{name}: peak memory, {what}", [peak.main_mib], "MiB", Target(at_most=150))
        if peak.workers_mib:
            title = f"{name}: peak memory of each worker, {what}"
            results.figure(title, list(peak.workers_mib), "MiB", Target(at_most=150))


def make_tiny_files(folder: Path, count: int) -> Path:
    """Make a tree of tiny files, 250 to a folder, or leave it if it is there."""
    marker = folder.with_name(folder.name + ".tiny.json")
    if marker.exists() and json.loads(marker.read_text()) == count:
        return folder
    print(f"making {count} tiny files (once; they are kept)", flush=True)
    for start in range(0, count, 250):
        below = folder / f"{start // 250_000:03}" / f"{start // 250:05}"
        below.mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + 250, count)):
            (below / f"im{number:07}.txt").write_bytes(b"%d" % number)
    marker.write_text(json.dumps(count))
    return folder


def _stores(site: Site) -> Iterator[str]:
    for one in json.loads(site.run("--json", "store", "list"))["stores"]:
        if one["store"] != "archive":
            yield str(one["store"])
