"""Restore drills against plain restic: whole stores, the lens, one study, memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import corpora
from benchmarks.programs import Timing, peak_of, timed
from benchmarks.results import Results, Target
from benchmarks.sites import BUCKET, Site, scratch, server
from deploy.lab.object_lock_server import ObjectLockServer

STORE = "xrays"
STUDY_FILES = 20
DRILL = Target(at_most=1.2)
LENS = Target(at_most=1.05)
BUCKET_LENS = Target(at_most=1.15)
FETCHED = Target(at_most=1.5)
MEMORY = Target(at_most=200)
SHOWN = Target()  # beside the others; nobody has set a bound


class Drills:
    """All measurements on one corpus, on one site with a local copy and a bucket.

    Args:
        name: Of the corpus, for the rows.
        images: Its folder.
        work: Where the site is made and where things are restored to.
        results: Takes the figures.
    """

    def __init__(self, name: str, images: Path, work: Path, results: Results) -> None:
        self._name = name
        self._images = images
        self._work = work
        self._results = results

    def measure(self, rounds: int, *, one_study: bool) -> None:
        """Measure everything; one study of 20 files is only told apart among small files."""
        with ExitStack() as stack:
            folder = stack.enter_context(scratch(self._work / "drills"))
            images = self._images
            if one_study:
                images = folder / "images"
                study = _with_one_more_study(self._images, images)
            bucket = stack.enter_context(server(folder / "server"))
            site = Site(folder / "site", images).make()
            site.add_copies(None, bucket)
            site.run("backup")
            raw = RawRestore(site, folder)
            self._whole(site, raw, rounds)
            self._through_the_lens(site, raw, bucket, rounds)
            if one_study:
                self._one_study(site, raw, study)
            self._memory(site)

    def _whole(self, site: Site, raw: RawRestore, rounds: int) -> None:
        """The whole store from the local copy; what is restored is verified on both sides."""
        name, add = self._name, self._results.add
        for number in range(rounds):
            print(f"corpus {name}: drill {number + 1} of {rounds}", flush=True)
            for ours in (number % 2 == 0, number % 2 == 1):
                if ours:
                    _overwriting(site, wanted=False)
                    took = timed(site.argv("drill", "run", STORE), env=site.env)
                    add(f"{name} drill, command", took)
                    add(
                        f"{name} drill, RTO", Timing(_newest(site)["rto"]["measured_s"], took.cpu_s)
                    )
                else:
                    add(f"{name} restic restore --verify", raw.restore(site.primary, verify=True))
        _overwriting(site, wanted=True)
        took = timed(site.argv("drill", "run", STORE), env=site.env)
        add(f"{name} drill, overwriting", took)
        ratio, peer = self._results.ratio, f"{name} restic restore --verify"
        what = f"{name}: drill, {{}} / restic restore --verify"
        ratio(what.format("RTO measured"), f"{name} drill, RTO", peer, DRILL)
        ratio(what.format("whole command"), f"{name} drill, command", peer, DRILL)
        ratio(what.format("whole command, overwriting"), f"{name} drill, overwriting", peer, SHOWN)

    def _through_the_lens(
        self, site: Site, raw: RawRestore, bucket: ObjectLockServer, rounds: int
    ) -> None:
        name = self._name
        direct = {"disk": str(site.primary), "vault": f"s3:{bucket.endpoint}/{BUCKET}/{STORE}"}
        for copy, target in (("disk", LENS), ("vault", BUCKET_LENS)):
            with_lens, without = f"{name} {copy}, lens", f"{name} {copy}, direct"
            for number in range(rounds):
                print(f"corpus {name}: lens on {copy}, {number + 1} of {rounds}", flush=True)
                for lens in (number % 2 == 0, number % 2 == 1):
                    if lens:
                        with _lens_on(site, copy) as location:
                            self._results.add(with_lens, raw.restore(location))
                    else:
                        self._results.add(without, raw.restore(direct[copy]))
            what = f"{name}: restore through the lens / without, {copy}"
            self._results.ratio(what, with_lens, without, target)

    def _one_study(self, site: Site, raw: RawRestore, study: Path) -> None:
        """Compare what a drill of one study fetches with the packs that hold its files."""
        packs = raw.packs_of([path for path in study.iterdir() if path.is_file()])
        held = sum((site.primary / "data" / pack[:2] / pack).stat().st_size for pack in packs)
        key = _key_of_study(site, STUDY_FILES)
        found = json.loads(
            site.run("--json", "drill", "run", STORE, "--copy", "vault", "--scope", f"study:{key}")
        )
        assert found["files"] == STUDY_FILES, found
        fetched = found["traffic"]["bytes"]
        files = sum(1 for _, _, names in os.walk(site.images) for _ in names)
        self._results.figure(
            f"{self._name}: bytes fetched for {STUDY_FILES} of {files} files / their "
            f"{len(packs)} packs",
            [fetched / held],
            "times",
            FETCHED,
        )

    def _memory(self, site: Site) -> None:
        _overwriting(site, wanted=False)
        for copy in ("disk", "vault"):
            peak = peak_of(site.argv("drill", "run", STORE, "--copy", copy), env=site.env)
            what = f"{self._name}: peak memory, drill of {copy}"
            self._results.figure(what, [peak.main_mib], "MiB", MEMORY)


class RawRestore:
    """Plain restic, restoring the snapshot that a drill of the site would restore.

    Args:
        site: A site after its backup.
        folder: Where the password is kept and where things are restored to.
    """

    def __init__(self, site: Site, folder: Path) -> None:
        program = shutil.which("restic", path=site.env["PATH"])
        if program is None:
            raise RuntimeError("restic is not on PATH: deploy/lab/get-restic.sh")
        password = folder / "password"
        password.write_text(site.run("key", "unwrap", "--repository", STORE))
        self._target = folder / "restored"
        self._start = [program, "--password-file", str(password), "--no-lock", "--no-cache"]
        self._site = site
        self.env = dict(site.env)
        if "VAULT_ACCESS_KEY" in self.env:
            self.env["AWS_ACCESS_KEY_ID"] = self.env["VAULT_ACCESS_KEY"]
            self.env["AWS_SECRET_ACCESS_KEY"] = self.env["VAULT_SECRET_KEY"]
            self.env["AWS_DEFAULT_REGION"] = "us-east-1"
        (newest,) = json.loads(self._ask("--json", "snapshots", "--tag", "data"))
        self._snapshot = newest["id"]

    def restore(self, location: str | Path, *, verify: bool = False) -> Timing:
        """Restore everything; what came back is removed outside of the measured time."""
        words = ["restore", self._snapshot, "--target", str(self._target)]
        words += ["--verify"] if verify else []
        try:
            return timed([*self._start, "-r", str(location), *words], env=self.env)
        finally:
            shutil.rmtree(self._target, ignore_errors=True)

    def packs_of(self, files: list[Path]) -> set[str]:
        """Return the packs that hold files' contents.

        The files must be smaller than restic's smallest chunk (512 KiB): one blob holds each.
        """
        wanted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        packs: set[str] = set()
        found: set[str] = set()
        for index in self._ask("list", "index").split():
            for pack in json.loads(self._ask("cat", "index", index))["packs"]:
                here = wanted & {blob["id"] for blob in pack["blobs"]}
                found |= here
                packs |= {pack["id"]} if here else set()
        assert found == wanted, "a file is not in the repository as one blob"
        return packs

    def _ask(self, *words: str) -> str:
        argv = [*self._start, "-r", str(self._site.primary), *words]
        done = subprocess.run(argv, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout


@contextmanager
def _lens_on(site: Site, copy: str) -> Iterator[str]:
    """Open the product's lens on a copy in this process; yields its address for restic."""
    from orchestrator.actions.engine_view import engine_on
    from orchestrator.actions.places import open_copy
    from orchestrator.engines.meter import Meter
    from orchestrator.wiring import open_site

    os.environ.update({k: v for k, v in site.env.items() if k.startswith("BENCH_") or k == "PATH"})
    opened = open_site(site.file)
    repository = opened.repository(STORE)
    with (
        open_copy(opened, copy, repository) as place,
        engine_on(opened, place, repository.name, meter=Meter()) as view,
    ):
        assert view.lens is not None
        yield view.lens.repository
        assert not view.lens.bad_files
    opened.catalog.dispose()


def _with_one_more_study(images: Path, folder: Path) -> Path:
    """Link all images into a folder and add a study of 20 files; returns the study's folder."""
    subprocess.run(["cp", "-al", str(images), str(folder)], check=True)
    # Far beyond the corpus, and the first of a study: its number is a multiple of the study's size.
    first = 1_000_000
    for number in range(first, first + STUDY_FILES):
        path, content = corpora.make_file(corpora.Corpus("a", first), number)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return (folder / path).parent


def _key_of_study(site: Site, files: int) -> str:
    listed = json.loads(site.run("--json", "study", "list", "--limit", "100000"))["studies"]
    (found,) = (one for one in listed if one["files"] == files)
    return str(found["study"])


def _newest(site: Site) -> dict[str, Any]:
    drill: dict[str, Any] = json.loads(site.run("--json", "drill", "list"))["drills"][0]
    assert drill["verdict"] == "verified", drill
    return drill


def _overwriting(site: Site, *, wanted: bool) -> None:
    """Say in the site file whether restored images are overwritten before they are removed."""
    text = site.file.read_text(encoding="utf-8").split("\n[drills]\n", 1)[0]
    text += f"\n[drills]\noverwrite = {'true' if wanted else 'false'}\n"
    site.file.write_text(text, encoding="utf-8")
