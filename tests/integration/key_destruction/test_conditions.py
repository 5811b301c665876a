"""What keeps a key from being destroyed, each on a real site with real repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestrator.actions.holds import place
from orchestrator.actions.key_destruction import destroy, validate
from orchestrator.actions.key_destruction.doctor import look_at_destroyed_keys
from orchestrator.actions.key_destruction.record import Destruction
from orchestrator.actions.sanitization.evidence import path_of
from orchestrator.actions.site import Site, keyring_path
from orchestrator.actions.state import KEYRING, members
from orchestrator.catalog import disposed, files, suppressions
from orchestrator.engines.restic.binary import find_binary
from orchestrator.errors import (
    CredentialError,
    DamageError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from orchestrator.ledger import entry
from tests.integration.disposal.executing import Crash, die, interfere
from tests.integration.key_destruction.conftest import NEW, Replaced, acting
from tests.support.clock import ShiftedClock
from tests.support.site import STORE, LabSite

WHY = "replaced after a suspected leak"


def proposed(site: LabSite, actor: str = "it") -> Destruction:
    with acting(site, actor) as opened:
        return destroy.propose(opened, STORE, reason=WHY)


def approved(site: LabSite) -> str:
    name = proposed(site).id
    with acting(site, "privacy") as opened:
        destroy.approve(opened, name)
    return name


def is_there(site: LabSite) -> bool:
    with site.opened() as opened:
        try:
            opened.keyring.password(STORE)
        except CredentialError:
            return False
        return True


def refused(site: LabSite, actor: str = "it", ahead: timedelta = timedelta()) -> str:
    """Return why a proposal is refused."""
    with acting(site, actor, ShiftedClock(ahead)) as opened, pytest.raises(RefusedError) as told:
        destroy.propose(opened, STORE, reason=WHY)
    return told.value.message


def entries(site: Site, kind: str) -> list[entry.Entry]:
    found = (entry.parse(one.data) for one in site.ledger.reader().entries())
    return [one for one in found if one.type == kind]


def test_key_of_a_repository_in_use_is_not_destroyed(replaced: Replaced) -> None:
    site = replaced()
    with acting(site, "it") as opened:
        with pytest.raises(RefusedError, match="is in use"):
            destroy.propose(opened, NEW, reason=WHY)
        with pytest.raises(NotFoundError):
            destroy.propose(opened, "nothing", reason=WHY)
        assert entries(opened, "key.destruction_proposed") == []


def test_two_people_of_two_roles_are_needed(replaced: Replaced) -> None:
    site = replaced()
    with site.opened() as opened, pytest.raises(RefusedError, match="takes a person"):
        destroy.propose(opened, STORE, reason=WHY)
    name = proposed(site).id
    assert "under way already" in refused(site)
    for actor, why in (
        ("it", "proposed it and may not approve"),
        ("twin", "proposed it and may not approve"),
        ("second", "a custodian and a person of compliance"),
    ):
        with acting(site, actor) as opened, pytest.raises(RefusedError, match=why):
            destroy.approve(opened, name)
    with acting(site, "it") as opened, pytest.raises(RefusedError, match="is proposed, not"):
        destroy.execute(opened, name)
    late = ShiftedClock(timedelta(days=8))
    with acting(site, "privacy", late) as opened, pytest.raises(RefusedError, match="out of date"):
        destroy.approve(opened, name)
    with acting(site, "boss") as opened:
        assert destroy.approve(opened, name).state == "approved"
    with acting(site, "privacy") as opened, pytest.raises(RefusedError, match="role custodian"):
        destroy.execute(opened, name)
    with acting(site, "it", late) as opened, pytest.raises(RefusedError, match="out of date"):
        destroy.execute(opened, name)
    with acting(site, "privacy") as opened:
        assert destroy.refuse(opened, name, reason="not now").state == "refused"
    with acting(site, "it") as opened, pytest.raises(RefusedError, match="is refused, not"):
        destroy.execute(opened, name)
    assert is_there(site)


HOLDS = {
    "on another store that has the same studies": {"kind": "store", "store": NEW},
    "on whatever it may be about": {"kind": "dates", "dates_from": date(1990, 1, 1)},
}


@pytest.mark.parametrize("which", HOLDS)
def test_hold_placed_after_the_approval_keeps_the_key(replaced: Replaced, which: str) -> None:
    site = replaced()
    name = approved(site)
    with acting(site, "privacy") as opened:
        wish = place.Wish(matter="22-cv-100", reason="a claim", **HOLDS[which])  # type: ignore[arg-type]
        hold = place.place(opened, wish).hold.hold
    with acting(site, "it") as opened:
        with pytest.raises(RefusedError, match=f"on hold {hold}"):
            destroy.execute(opened, name)
        (met,) = entries(opened, "hold.refused")
        assert met.body["path"] == "key.destroy"
        assert len(entries(opened, "key.destroy.failed")) == 1
    assert is_there(site)


def test_content_that_is_proven_nowhere_else_keeps_the_key_unless_disposed_of(
    replaced: Replaced,
) -> None:
    site = replaced()
    name = approved(site)
    with site.opened() as opened:
        image, study = one_study(opened)
    for path in image:
        (site.images / os.fsdecode(path)).unlink()
    site.ask("backup")
    with acting(site, "it") as opened, pytest.raises(RefusedError) as told:
        destroy.execute(opened, name)
    assert f"{len(image)} contents, of 1 studies" in told.value.message
    assert is_there(site)
    with site.opened() as opened, opened.catalog.transaction() as session:
        suppressions.add(session, NEW, [study], now=opened.clock.now())
    with acting(site, "it") as opened:
        assert destroy.execute(opened, name).state == "destroyed"
    assert not is_there(site)


def one_study(site: Site) -> tuple[list[bytes], str]:
    """Return the paths of a study whose files no other path repeats, and its pseudonym."""
    with site.catalog.reading() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT study_key FROM file WHERE store = ? AND study_key IS NOT NULL AND sha256 IN "
            "(SELECT sha256 FROM file WHERE store = ? GROUP BY sha256 HAVING count(*) = 1) "
            "GROUP BY study_key HAVING count(*) = 1 ORDER BY study_key LIMIT 1",
            (NEW, NEW),
        )
        (study,) = rows.fetchone() or ("",)
        found = files.entries_of_study(session, NEW, study_key=study, keys=site.catalog.keys)
        return [one.path for one in found], str(study)


def test_elsewhere_counts_only_as_long_as_it_is_proven(replaced: Replaced) -> None:
    site = replaced()
    assert "no store, for none is proven" in refused(site, ahead=timedelta(days=400))


def test_copy_that_cannot_be_opened_before_proves_nothing_after(replaced: Replaced) -> None:
    site = replaced()
    shutil.move(site.primary, site.folder / "away")
    assert "none of its copies could be opened" in refused(site)


def test_key_file_of_a_stranger_keeps_the_key(replaced: Replaced, tmp_path: Path) -> None:
    site = replaced()
    with site.opened() as opened:
        password = opened.keyring.password(STORE).reveal()
    (tmp_path / "new").write_text("secret of a stranger")
    subprocess.run(
        [find_binary().path, "-r", site.primary, "--no-cache", "key", "add",
         "--new-password-file", tmp_path / "new"],
        env={**site.env, "RESTIC_PASSWORD": password},
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert "1 key files in its copies were made by nobody here" in refused(site)
    # It is an incident, and on record once however often it is seen.
    for _ in range(2):
        found = site.ask("key", "check", expect=4)["repositories"]
    (stranger,) = [key for one in found for key in one["unexpected"]]
    (noted,) = site.ask("ledger", "list", "--type", "key.unexpected")["entries"]
    assert (noted["body"]["repository"], noted["body"]["key"]) == (STORE, stranger)


@pytest.fixture
def done(replaced: Replaced) -> tuple[LabSite, str]:
    site = replaced()
    name = approved(site)
    with acting(site, "it") as opened:
        assert destroy.execute(opened, name).verification == "unverified"
    return site, name


def test_what_is_left_open_takes_a_reason_and_a_second_person(done: tuple[LabSite, str]) -> None:
    site, name = done

    def judge(opened: Site, *items: str, reason: str | None = None) -> Destruction:
        return validate.validate(opened, name, accept=True, attested=items, reason=reason)

    with acting(site, "privacy") as opened:
        with pytest.raises(UsageError, match="no item 'kit'"):
            judge(opened, "kit")
        with pytest.raises(UsageError, match="not every known way"):
            judge(opened, "kits")
    with acting(site, "twin") as opened, pytest.raises(RefusedError, match="may not validate"):
        judge(opened, reason="it is well")
    assert "was destroyed on" in refused(site)
    with acting(site, "privacy") as opened:
        before = destroy.get(opened, name).before
        kept = path_of(opened, before or "")
        raw = kept.read_bytes()
        kept.write_bytes(raw.replace(b"opened", b"sealed"))
        with pytest.raises(DamageError, match="evidence"):
            judge(opened, reason="rotation takes them")
        kept.write_bytes(raw)
        ended = judge(opened, reason="rotation takes them")
        assert (ended.verification, ended.validation) == ("unverified", "accepted")
        again = judge(opened, reason="rotation takes them")
        assert again.certificate == ended.certificate is not None
    with acting(site, "boss") as opened, pytest.raises(RefusedError, match="accepted already"):
        judge(opened, reason="me too")


def test_password_that_came_back_is_seen_and_destroyed_again(done: tuple[LabSite, str]) -> None:
    site, name = done
    (state,) = site.rows(
        "SELECT s.id FROM snapshot s JOIN repository r ON r.id = s.repository_id "
        "WHERE r.name = ? AND s.kind = 'state'",
        NEW,
    )
    with site.opened() as opened:
        # Somebody restores the site's state of before, keyring and all.
        engine = opened.copy_engine(NEW, str(opened.primary_root(NEW)), "disk")
        stored = members(engine.dump(state["id"], "/state.tar"), (KEYRING,))[KEYRING]
        keyring_path(opened.state_dir).write_bytes(stored)
    assert is_there(site)
    with acting(site, "privacy") as opened:
        with pytest.raises(RefusedError, match="still in the keyring"):
            validate.validate(opened, name, accept=True, attested=(), reason="it is well")
        (finding,) = look_at_destroyed_keys(opened)
        assert (finding.state, finding.hint) == (
            "fail",
            f"orchestrator --as ACTOR key destroy run {name}",
        )
    with acting(site, "it") as opened:
        assert destroy.execute(opened, name).state == "destroyed"
        assert [one.state for one in look_at_destroyed_keys(opened)] == ["warn", "ok"]
    assert not is_there(site)


def test_what_another_store_keeps_is_not_disposed_of_by_one_that_does_not(
    replaced: Replaced,
) -> None:
    """A study may lie in two stores in two versions, and be disposed of in one of them."""
    site = replaced()
    name = approved(site)
    with site.opened() as opened:
        image, study = one_study(opened)
    path = site.images / os.fsdecode(image[0])
    raw = path.read_bytes()
    for one in image:
        (site.images / os.fsdecode(one)).unlink()
    (site.folder / "scans").mkdir()
    (site.folder / "scans/other.dcm").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    site.file.write_text(site.file.read_text() + SCANS)
    site.ask("init", site.folder)
    site.ask("backup")
    with site.opened() as opened, opened.catalog.transaction() as session:
        assert disposed.there(session, "scans", [study]) == {study: 1}
        suppressions.add(session, NEW, [study], now=opened.clock.now())
    with acting(site, "it") as opened, pytest.raises(RefusedError) as told:
        destroy.execute(opened, name)
    assert f"{len(image)} contents, of 1 studies" in told.value.message
    assert is_there(site)


SCANS = """
[stores.scans]
kind = "folder"
path = "scans"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
"""


def test_whoever_has_destroyed_a_key_does_not_validate_it_once_another_has_ended_it(
    replaced: Replaced,
) -> None:
    site = replaced()
    name = approved(site)
    with pytest.MonkeyPatch.context() as patch, acting(site, "it") as opened:
        interfere(patch, destroy, "measured", before=die)
        with pytest.raises(Crash):
            destroy.execute(opened, name)
    assert not is_there(site)
    with acting(site, "second") as opened:
        assert destroy.execute(opened, name).performed_by == "second"
    for actor in ("it", "second"):
        with acting(site, actor) as opened, pytest.raises(RefusedError, match="may not validate"):
            validate.validate(opened, name, accept=False, attested=(), reason="as it is")


def test_a_removed_folder_of_a_former_repository_is_no_damaged_key(replaced: Replaced) -> None:
    site = replaced()
    shutil.rmtree(site.primary)

    answer = site.ask("key", "check", expect=3)

    former, current = answer["repositories"]
    assert (current["repository"], current["opens"]) == (NEW, True)
    assert (former["repository"], former["opens"]) == (STORE, None)
    assert f"store {STORE} is not in the site file any more" in former["detail"]
    assert f"key destroy propose {STORE}" in former["hint"]
    checks = {one["name"]: one for one in site.ask("doctor", expect=(0, 1))["checks"]}
    assert checks[f"keys of {STORE}"]["state"] == "unknown"
    assert checks[f"keys of {NEW}"]["state"] == "ok"
    # What is there without its config, or is in use, is another matter.
    site.primary.mkdir()
    assert "there is no repository" in site.run("key", "check", expect=10).error["message"]
    site.primary.rmdir()
    shutil.move(site.primary.with_name(NEW), site.folder / "away")
    assert NEW in site.run("key", "check", expect=10).error["message"]
