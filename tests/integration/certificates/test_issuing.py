"""A certificate from the act to the verdict, with the real ledger, key, typesetter and readers."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import files as places
from orchestrator.actions.certificates import pdf as certificate_pdf
from orchestrator.actions.certificates import verify as verify_certificate
from orchestrator.actions.certificates.book import SiteBook
from orchestrator.actions.certificates.signer import signing_identity
from orchestrator.actions.certificates.verify import Checked
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates as rows
from orchestrator.certificates import identity, signing, wording
from orchestrator.errors import ConfigError, CredentialError, RefusedError
from orchestrator.ledger import entry
from tests.integration.certificates.conftest import OpenSite
from tests.support import certificate_records as acts

KINDS = {
    "measured": acts.sanitization(),
    "rejected": acts.rejected(),
    "batch": acts.batch(),
    "disposal": acts.disposal(),
    "residue": acts.disposal_with_residue(),
    "key": acts.key_destruction(),
    "names": acts.foreign_names(),
}


def said_by(program: str, *words: str | Path) -> str:
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False
    ).stdout


def verdict_on(site: Site, pdf: bytes, tmp_path: Path) -> Checked:
    path = tmp_path / "shown.pdf"
    path.write_bytes(pdf)
    return verify_certificate.verify(site, path)


def failed(checked: Checked) -> set[str]:
    return {one.name for one in checked.checks if one.state == "fail"}


def entries_of(site: Site) -> list[entry.Entry]:
    return [entry.parse(stored.data) for stored in site.ledger.reader().entries(0)]


def test_a_certificate_goes_through_the_ledger_and_is_valid(site: Site, tmp_path: Path) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    assert (made.number[5:], made.state) == ("0001", "issued")
    opened, recorded, issued = entries_of(site)
    assert opened.type == "ledger.opened"
    assert recorded.type == "certificate.recorded"
    assert recorded.evidence == {"record": f"sha256:{made.record_sha256}"}
    assert issued.type == "certificate.issued"
    assert issued.evidence["pdf"] == f"sha256:{made.pdf_sha256}"
    assert made.pdf.stat().st_mode & 0o777 == 0o600
    checked = verify_certificate.verify(site, made.pdf)
    assert checked.verdict == "valid", checked.checks
    assert checked.number == made.number
    names = [one.name for one in checked.checks]
    assert len(names) == len(set(names)) == 8


def test_an_independent_reader_accepts_the_same_file(site: Site, tmp_path: Path) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    said = said_by("pdfsig", made.pdf)
    assert "Signature is Valid." in said
    assert "Total document signed" in said
    for name in ("record.json", "entry.json", "entry.tlog-proof"):
        subprocess.run(
            ["pdfdetach", "-savefile", name, "-o", tmp_path / name, made.pdf], check=True
        )
    assert (tmp_path / "record.json").read_bytes() == made.record.read_bytes()
    assert made.recorded_index is not None
    book = SiteBook(site)
    assert (tmp_path / "entry.json").read_bytes() == book.entry(made.recorded_index)


def test_hashes_and_keys_are_copied_from_the_pages_as_they_are(site: Site) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    text = said_by("pdftotext", "-raw", made.pdf, "-")
    assert "\u200b" not in text
    record = json.loads(made.record.read_text())
    for value in (*record["act"]["evidence"].values(), made.record_sha256):
        assert value in text
    # The key is longer than a line: broken, and nothing put in between.
    assert site.ledger.verifier.vkey in text.replace("\n", "")


@pytest.mark.parametrize("name", ["measured", "rejected", "key", "batch"])
def test_nobody_signs_a_page_that_does_not_say_what_for(site: Site, name: str) -> None:
    made = certify.issue(site, KINDS[name])
    pages = said_by("pdftotext", "-layout", made.pdf, "-").split("\f")
    signed = [page for page in pages if "Date signed" in page]
    assert len(signed) == 1
    assert "Persons and signatures" in signed[0]


def test_a_ledger_that_cannot_be_read_makes_a_certificate_unknown_not_invalid(
    site: Site,
) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    entries_tile = max(
        site.ledger.folder.glob("tile/entries/000.p/*"), key=lambda path: int(path.name)
    )
    damaged = bytearray(entries_tile.read_bytes())
    damaged[100] ^= 0x01
    entries_tile.chmod(0o600)
    entries_tile.write_bytes(damaged)
    checked = verify_certificate.verify(site, made.pdf)
    assert checked.verdict == "unknown", checked.checks
    assert failed(checked) == set()
    states = {one.name: one.state for one in checked.checks}
    assert (states["signature"], states["signer"]) == ("ok", "unknown")


def test_a_ledger_that_was_put_back_says_nothing_against_a_certificate(
    opened: OpenSite, tmp_path: Path
) -> None:
    before = opened()
    certify.issue_sanitization(before, acts.sanitization())
    older = shutil.copytree(before.ledger.folder, tmp_path / "older")
    made = certify.issue_sanitization(before, acts.sanitization("s-later"))
    shutil.rmtree(before.ledger.folder)
    shutil.copytree(older, before.ledger.folder)
    checked = verify_certificate.verify(opened(), made.pdf)
    assert checked.verdict == "unknown", checked.checks
    assert failed(checked) == set()
    (told,) = [one.detail for one in checked.checks if one.name == "ledger"]
    assert "put back" in told


def test_any_changed_byte_is_refused(site: Site, tmp_path: Path) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    pdf = made.pdf.read_bytes()
    for at in [*range(0, len(pdf), len(pdf) // 60), len(pdf) - 1]:
        changed = bytearray(pdf)
        changed[at] ^= 0x01
        assert verdict_on(site, bytes(changed), tmp_path).verdict == "invalid", at


@pytest.mark.parametrize("more", [b"\n", b"% a comment\n", b"\n%%EOF\n"])
def test_an_appended_byte_is_refused_by_both(site: Site, tmp_path: Path, more: bytes) -> None:
    pdf = certify.issue_sanitization(site, acts.sanitization()).pdf.read_bytes() + more
    checked = verdict_on(site, pdf, tmp_path)
    assert checked.verdict == "invalid"
    # A second end of file makes it unreadable; the others are seen as not covered.
    assert failed(checked) & {"coverage", "signature"}
    assert "Total document signed" not in said_by("pdfsig", tmp_path / "shown.pdf").replace(
        "Not total document signed", ""
    )


def test_a_byte_changed_under_the_signature_is_refused_by_the_other_reader(
    site: Site, tmp_path: Path
) -> None:
    pdf = bytearray(certify.issue_sanitization(site, acts.sanitization()).pdf.read_bytes())
    at = pdf.index(b"/Producer") if b"/Producer" in pdf else 20
    pdf[at + 1] ^= 0x01
    (tmp_path / "changed.pdf").write_bytes(pdf)
    assert "Signature is Valid" not in said_by("pdfsig", tmp_path / "changed.pdf")


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n%%EOF\n", b"no PDF at all", b"\0" * 5000])
def test_what_is_no_signed_pdf_is_invalid(site: Site, tmp_path: Path, content: bytes) -> None:
    assert verdict_on(site, content, tmp_path).verdict == "invalid"


def test_a_pdf_signed_by_a_stranger_is_refused(site: Site, tmp_path: Path) -> None:
    certify.issue_sanitization(site, acts.sanitization())
    with site.catalog.reading() as session:
        (row,) = rows.listing(session)
    key = identity.make_key()
    stranger = identity.PemIdentity(
        identity.make_certificate(key, "Test Dental", now=site.clock.now()), identity.key_pem(key)
    )
    unsigned = certificate_pdf.typeset(site, SiteBook(site), row)
    forged = signing.sign(unsigned, stranger, signing.Signing("x"), at=site.clock.now())
    checked = verdict_on(site, forged, tmp_path)
    assert checked.verdict == "invalid"
    assert failed(checked) == {"issued", "signer"}


def test_a_pdf_signed_with_our_key_past_the_ledger_is_refused(site: Site, tmp_path: Path) -> None:
    certify.issue_sanitization(site, acts.sanitization())
    with site.catalog.reading() as session:
        (row,) = rows.listing(session)
    claims = json.loads(row.record)
    claims["act"]["method"] = "purge"
    row.record = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    unsigned = certificate_pdf.typeset(site, SiteBook(site), row)
    forged = signing.sign(
        unsigned, signing_identity(site), signing.Signing("x"), at=site.clock.now()
    )
    checked = verdict_on(site, forged, tmp_path)
    assert checked.verdict == "invalid"
    assert "proof" in failed(checked)


def test_another_sites_certificate_is_not_valid_here(
    site: Site, certifying_folder: Path, tmp_path: Path, opened: OpenSite
) -> None:
    from orchestrator.actions.certificates.signer import make_signer
    from orchestrator.actions.set_up import make_state

    other_folder = tmp_path / "other"
    (other_folder / "images").mkdir(parents=True)
    other = opened(at=other_folder)
    make_state(other)
    certify_ledger(other)
    make_signer(other)
    made = certify.issue_sanitization(other, acts.sanitization())
    assert verify_certificate.verify(other, made.pdf).verdict == "valid"
    assert verify_certificate.verify(site, made.pdf).verdict in ("invalid", "unknown")


def certify_ledger(site: Site) -> None:
    from orchestrator.actions.ledger.opening import make_ledger, new_origin

    origin = new_origin(site.config.name, site.keyring.id, 1)
    make_ledger(site.state_dir, site.keyring, origin=origin, now=site.clock.now())


def test_the_ledger_may_grow_and_the_proof_still_holds(site: Site) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    body = {"copy": "disk", "run": "r"}
    record(site, [Event("check.done", {**body, "run": f"r{n}"}) for n in range(300)])
    assert verify_certificate.verify(site, made.pdf).verdict == "valid"


def test_asked_again_for_the_same_act_the_same_certificate_is_returned(site: Site) -> None:
    first = certify.issue_sanitization(site, acts.sanitization())
    assert certify.issue_sanitization(site, acts.sanitization()).number == first.number
    assert len(entries_of(site)) == 3


def test_two_certificates_of_one_subject_never_count_at_once(site: Site) -> None:
    first = certify.issue_sanitization(site, acts.sanitization())
    other = acts.sanitization(technique="overwrite, two passes")
    with pytest.raises(RefusedError, match="says something else"):
        certify.issue_sanitization(site, other)
    for actor in ("system", "it"):
        before, site.actor = site.actor, actor
        with pytest.raises(RefusedError, match="role compliance"):
            certify.revoke(site, first.number, reason="the technique was wrong")
        site.actor = before
    certify.revoke(site, first.number, reason="the technique was wrong")
    second = certify.issue_sanitization(site, other)
    assert second.number[5:] == "0002"
    assert verify_certificate.verify(site, second.pdf).verdict == "valid"


def test_a_revoked_certificate_says_so_whatever_the_catalog_says(site: Site) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    certify.revoke(site, made.number, reason="wrong medium")
    with site.catalog.reading() as session:
        row = rows.get(session, made.number)
    row.state, row.active_subject, row.ended_index = rows.ISSUED, row.subject, None
    with site.catalog.transaction() as session:
        rows.save(session, row)
    checked = verify_certificate.verify(site, made.pdf)
    assert checked.verdict == "revoked"
    assert failed(checked) == {"in force"}


def test_what_is_not_in_force_cannot_be_revoked(site: Site) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    certify.revoke(site, made.number, reason="wrong medium")
    with pytest.raises(RefusedError, match="revoked, not in force"):
        certify.revoke(site, made.number, reason="again")


def test_an_act_that_says_too_much_gets_no_number(site: Site) -> None:
    with pytest.raises(RefusedError):
        certify.issue_sanitization(site, acts.sanitization(technique="HIPAA compliant wipe"))
    assert certify.listing(site) == []
    assert len(entries_of(site)) == 1


@pytest.mark.parametrize("name", KINDS)
def test_the_pages_show_the_record_and_no_forbidden_word(
    site: Site, name: str, tmp_path: Path
) -> None:
    act = KINDS[name]
    made = certify.issue(site, act)
    said = said_by("pdftotext", "-layout", made.pdf, "-")
    flat = " ".join(said.split())
    assert wording.forbidden(flat) == []
    assert made.number in flat
    assert made.record_sha256 in flat
    if name != "names":
        for person in act.persons:
            assert person.name in flat
    for row in said_by("pdffonts", made.pdf).splitlines()[2:]:
        assert row.split()[-5] == "yes", row  # embedded
    if name == "batch":
        for serial in acts.batch().serials:
            assert serial in flat
    if name == "residue":
        assert "Residual copies remain" in flat
        assert "8 Apr 2026" in flat
    if name == "rejected":
        assert "Not Accepted" in flat
        assert "none claimed" in flat
    assert verify_certificate.verify(site, made.pdf).verdict == "valid"


@pytest.mark.parametrize("paper", ["letter", "a4"])
def test_pages_are_the_same_bytes_twice_and_of_the_size_asked_for(
    opened: OpenSite, paper: str
) -> None:
    site = opened(more=f'[certificates]\npaper = "{paper}"\n')
    made = certify.issue_sanitization(site, acts.sanitization())
    with site.catalog.reading() as session:
        row = rows.get(session, made.number)
    book = SiteBook(site)
    assert certificate_pdf.typeset(site, book, row) == certificate_pdf.typeset(site, book, row)
    assert {"letter": "(letter)", "a4": "(A4)"}[paper] in said_by("pdfinfo", made.pdf)


def test_a_name_that_turns_the_writing_is_shown_by_code_points(site: Site) -> None:
    made = certify.issue(site, acts.foreign_names())
    flat = said_by("pdftotext", made.pdf, "-")
    assert "Evil [U+202E]name" in flat
    assert "Владимир Иванов-Żółć" in flat


def pem_files(folder: Path, key: bytes, certificate: bytes) -> str:
    (folder / "key.pem").write_bytes(key)
    (folder / "signer.pem").write_bytes(certificate)
    return '[certificates.pem]\ncertificate = "signer.pem"\nkey = "key.pem"\n'


def test_a_key_of_the_organizations_own_signs(opened: OpenSite, folder: Path) -> None:
    key = identity.make_key()
    now = opened().clock.now()
    more = pem_files(
        folder, identity.key_pem(key), identity.make_certificate(key, "Own CA", now=now)
    )
    site = opened(more=more)
    made = certify.issue_sanitization(site, acts.sanitization())
    assert "O=Own CA" in said_by("pdfsig", made.pdf)
    assert verify_certificate.verify(site, made.pdf).verdict == "valid"
    own = verify_certificate.verify(site, made.pdf, signer=folder / "signer.pem")
    assert own.verdict == "valid"
    # The site's own key comes back: what the other one signed still counts.
    assert verify_certificate.verify(opened(), made.pdf).verdict == "valid"
    wrong = verify_certificate.verify(
        site, made.pdf, signer=site.state_dir / "certificates" / "signer.pem"
    )
    assert failed(wrong) == {"signer"}


def test_a_key_that_is_not_the_certificates_is_refused_and_nothing_is_claimed(
    opened: OpenSite, folder: Path
) -> None:
    key, other = identity.make_key(), identity.make_key()
    now = opened().clock.now()
    certificate = identity.make_certificate(other, "X", now=now)
    site = opened(more=pem_files(folder, identity.key_pem(key), certificate))
    with pytest.raises(ConfigError):
        certify.issue_sanitization(site, acts.sanitization())
    (left,) = certify.listing(site)
    assert (left.state, left.issued_index) == ("recorded", None)
    # The file is put right: the next run finishes the same number.
    (done,) = certify.settle(opened())
    assert (done.number, done.state) == (left.number, "issued")


def test_a_damaged_key_is_told_without_showing_it(opened: OpenSite, folder: Path) -> None:
    key = identity.make_key()
    certificate = identity.make_certificate(key, "X", now=opened().clock.now())
    site = opened(more=pem_files(folder, b"-----BEGIN PRIVATE KEY-----\nxx\n", certificate))
    with pytest.raises(CredentialError, match="cannot be opened"):
        certify.issue_sanitization(site, acts.sanitization())


def test_a_pdf_that_was_changed_before_it_was_issued_is_not_issued(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = places.write

    def write_other(path: Path, content: bytes) -> None:
        real(path, content + b"\n" if path.suffix == ".pdf" else content)

    monkeypatch.setattr(places, "write", write_other)
    with pytest.raises(Exception, match="not what was recorded"):
        certify.issue_sanitization(site, acts.sanitization())
    assert [one.type for one in entries_of(site)][1:] == ["certificate.recorded"]


def test_people_come_from_the_site_file(site: Site) -> None:
    owner = certify.person(site, "owner", "approved", acts.DAY)
    assert (owner.name, owner.place, owner.contact) == (
        "Cy Castillo",
        "Austin, Texas",
        "cy@elm-street.example",
    )
    with_owner = dataclasses.replace(acts.sanitization(), persons=(owner, acts.ANN, acts.BO))
    assert certify.issue_sanitization(site, with_owner).state == "issued"


def test_the_issuer_stands_on_the_record(site: Site) -> None:
    made = certify.issue_sanitization(site, acts.sanitization())
    _, stored = certify.get(site, made.number)
    assert stored["issuer"]["address"] == ["1200 Elm Street, Suite 4", "Austin, Texas 78701"]
    assert stored["issued_by"] == "privacy"
    assert stored["log"] == site.ledger.origin
