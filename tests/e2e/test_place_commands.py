"""``place list|close`` as people type them, and the warnings that lead there."""

from __future__ import annotations

from tests.support.site import MakeSite


def test_a_path_that_was_changed_is_told_and_closed_by_two_people(make_site: MakeSite) -> None:
    site = make_site()
    site.run("backup")
    assert [one["state"] for one in site.ask("place", "list")["places"]] == ["current"]
    old, new = site.folder / "copies/disk", site.folder / "copies/shelf"
    old.rename(new)
    site.write(disk="copies/shelf")
    (place,) = site.ask("place", "list")["places"]  # known at once, before any run has seen it
    assert (place["copy"], place["role"], place["state"]) == ("disk", "local", "former")
    assert (place["location"], place["left_at"]) == (str(old.resolve()), None)
    (warning,) = (one for one in site.ask("status")["warnings"] if "former places" in one)
    assert warning.endswith("orchestrator place list")
    found = [one for one in site.ask("doctor")["checks"] if one["name"] == "former places"]
    assert [(one["state"], one["hint"]) for one in found] == [("warn", "orchestrator place list")]

    name = place["place"]
    assert site.run("place", "close", name, expect=2).error["exit_code"] == 2
    moved = ("place", "close", name, "--how", "moved")
    assert "this takes a person" in site.run(*moved, "--note", "x", expect=5).error["message"]
    asked = site.ask("--as", "it", *moved, "--note", "the disk has a new mount point")
    assert (asked["state"], asked["asked_by"], asked["how"]) == ("close_asked", "it", "moved")
    again = site.run("--as", "it", *moved, expect=5).error
    assert "another person of compliance must confirm it" in again["message"]
    named = ("--note", "moved by Doe, see 1.2.840.10008.5.1.4.1.1.2")
    assert (
        "looks like a UID" in site.run("--as", "privacy", *moved, *named, expect=5).error["message"]
    )
    closed = site.ask("--as", "privacy", *moved)
    assert (closed["state"], closed["closed_by"]) == ("closed", "privacy")
    assert closed["looked"] == "its folder is not there"
    assert "closed already" in site.run("--as", "it", *moved, expect=5).error["message"]

    site.run("backup")
    states = {one["location"]: one["state"] for one in site.ask("place", "list")["places"]}
    assert states == {str(old.resolve()): "closed", str(new.resolve()): "current"}
    (current,) = (one for one in site.ask("place", "list")["places"] if one["state"] == "current")
    refused = site.run("--as", "it", "place", "close", current["place"], "--how", "emptied",
                       "--note", "no", expect=5)  # fmt: skip
    assert "is where copy disk is now" in refused.error["message"]
    assert not [one for one in site.ask("status")["warnings"] if "former places" in one]
    entries = site.ask("ledger", "list")["entries"]
    told = [one for one in entries if one["type"].startswith("place.")]
    assert [one["type"] for one in told] == ["place.left", "place.close_asked", "place.closed"]
    assert str(old) not in str(told)
