"""A medium leaves service only when what it holds is proven elsewhere; custody shows its gaps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.actions import custody, media, retire
from orchestrator.actions.sanitization import attest as sanitize_record
from orchestrator.actions.site import Site
from orchestrator.catalog import sanitizations
from orchestrator.clock import SystemClock
from orchestrator.errors import RefusedError
from tests.support.loop import loop_file_system
from tests.support.site import MakeSite


class Later(SystemClock):
    """So long after now that no verification counts any more."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=60)


def entries(site: Site) -> list[dict[str, object]]:
    return [json.loads(one.data) for one in site.ledger.log.reader().entries()]


def test_retiring_ties_what_a_medium_held_and_custody_shows_its_gaps(
    make_site: MakeSite, tmp_path: Path
) -> None:
    lab = make_site(medium=True)
    assert lab.medium is not None
    where = lab.folder / "media" / "blue"
    with loop_file_system(tmp_path, size_mib=64, mount_point=where):
        lab.ask("backup")
        lab.run("--as", "it", "medium", "add", "rotation", where, "--label", "blue")
        lab.ask("replicate", "rotation")
        lab.ask("--as", "it", "medium", "release", "red", "--holder", "courier", "--seal", "S1")
        lab.ask("--as", "it", "medium", "receive", "blue", "--seal", "S2")
        shown = lab.ask("medium", "custody", "blue")
        assert [one["event"] for one in shown["custody"]] == ["registered", "received"]
        assert shown["gaps"] == [
            f"{shown['custody'][1]['at'][:16].replace('T', ' ')} UTC: "
            "received, and nobody had released it"
        ]
        (now,) = [one for one in lab.ask("medium", "list")["media"] if one["label"] == "blue"]
        assert (now["holder"], now["location"]) == ("it", None)
        about = lab.ask("ledger", "list", "--medium", "red")["entries"]
        assert {"medium.registered", "medium.released"} <= {one["type"] for one in about}
        assert lab.run("ledger", "list", "--medium", "nosuch", expect=10).error["hint"]
        with lab.opened() as site:
            site.actor = "it"
            red = media.find(site, "red")
            (out,) = [one for one in custody.chain(site, red).links if one.event == "released"]
            assert (out.given_by, out.taken_by, out.seal) == ("it", "courier", "S1")
            clock, site.clock = site.clock, Later()
            with pytest.raises(RefusedError, match="no other copy is proven to hold it"):
                retire.retire(site, "red", note=None)
            assert "medium.retire" not in {one["type"] for one in entries(site)}
            site.clock = clock
            assert retire.retire(site, "red", note="worn").row.state == "retired"
            with site.catalog.reading() as session:
                held = sanitizations.holdings(session, red.id)
            assert {one.repository for one in held} == {"xrays"}
            assert all(one.keys for one in held)
            assert {one.elsewhere for one in held} <= {"disk", "rotation"}
            told = [one for one in entries(site) if str(one["type"]).startswith("medium.retire")]
            assert [one["type"] for one in told][:2] == ["medium.retire", "medium.retire.done"]
            assert told[1]["snapshots"] == len(held) > 0
            slip = tmp_path / "slip"
            slip.write_bytes(b"red was shredded")
            said = sanitize_record.Attested(
                "shred", "hdd", ended_at=site.clock.now(), medium="red", evidence={"slip": slip}
            )
            row = sanitize_record.attest(site, said)
            site.actor = "privacy"
            row = sanitize_record.validate(site, row.id, accept=True, reasons=())
        kept = lab.ask("certificate", "show", row.certificate)["record"]["act"]["held"]
        assert kept["repositories"] == ["xrays"]
        assert {one.split()[1].strip(",") for one in kept["elsewhere"]} <= {"disk", "rotation"}
        assert kept["elsewhere"]
