"""The ``certificate`` commands on a site made by ``init``."""

from __future__ import annotations

from orchestrator.actions.certificates import certify
from tests.support import certificate_records as acts
from tests.support.site import MakeSite

VENDOR = """
[actors.owner]
name = "Cy Castillo"
title = "Practice owner"
roles = ["compliance"]
[vendors.shred]
name = "Shredding & Sons"
"""


def test_a_certificate_is_listed_verified_exported_and_revoked(make_site: MakeSite) -> None:
    site = make_site(more=VENDOR)
    with site.opened() as inside:
        made = certify.issue_sanitization(inside, acts.sanitization())
    (listed,) = site.ask("certificate", "list")["certificates"]
    assert (listed["number"], listed["state"]) == (made.number, "issued")
    assert site.ask("certificate", "show", made.number)["record"]["act"]["method"] == "clear"

    copy = site.folder / "copy.pdf"
    assert site.ask("certificate", "export", made.number, "--to", copy)["sha256"] == made.pdf_sha256
    assert copy.read_bytes() == made.pdf.read_bytes()
    site.run("certificate", "export", made.number, "--to", copy, expect=5)
    assert site.ask("certificate", "verify", copy)["verdict"] == "valid"

    changed = bytearray(copy.read_bytes())
    changed[len(changed) // 2] ^= 1
    copy.write_bytes(changed)
    assert site.ask("certificate", "verify", copy, expect=4)["verdict"] == "invalid"

    reason = ("certificate", "revoke", made.number, "--reason", "wrong medium")
    site.run("--as", "it", *reason, expect=5)
    site.run("--as", "privacy", *reason)
    assert site.ask("certificate", "verify", made.pdf, expect=4)["verdict"] == "revoked"
    site.run("certificate", "show", "2026-9999", expect=10)


def test_a_vendor_without_an_agreement_takes_two_people(make_site: MakeSite) -> None:
    site = make_site(more=VENDOR)
    paper = site.folder / "theirs.pdf"
    paper.write_bytes(b"%PDF")
    serials = site.folder / "serials.txt"
    serials.write_text("ZZ-1\n")
    words = ("certificate", "import", paper, "--vendor", "shred", "--serials", serials)
    refused = site.run("--as", "it", *words, expect=5)
    assert "no agreement" in refused.error["message"]
    proposed = site.ask("--as", "it", *words, "--override")
    assert (proposed["state"], proposed["never_ours"]) == ("proposed", ["ZZ-1"])
    site.run("--as", "it", "certificate", "confirm", proposed["id"], expect=5)
    done = site.ask("--as", "owner", "certificate", "confirm", proposed["id"])
    assert (done["state"], done["confirmed_by"]) == ("imported", "owner")
    (listed,) = site.ask("certificate", "list")["vendor_certificates"]
    assert listed == done
