"""What attempts to get at a destroyed key prove, and what they do not."""

from __future__ import annotations

import pytest

from orchestrator.actions.key_destruction.items import ITEMS
from orchestrator.actions.key_destruction.left import Stored
from orchestrator.actions.key_destruction.measuring import verdict
from orchestrator.actions.key_destruction.ways import OPENED, SHUT, UNTRIED, Attempt
from orchestrator.certificates.wording import forbidden

KEYRING = Attempt("keyring", "unwrapping", SHUT)
COPY = Attempt("copy disk", "restic with the site key", SHUT)
STATE = Attempt("state 0123 in repository films", "unwrapping", SHUT)
STORED = Stored("disk", None, "films", ("ab" * 32,), 0, None)


def of(where: Attempt, result: str) -> Attempt:
    return Attempt(where.where, where.how, result)


def test_all_that_opened_before_and_is_refused_now_is_verified() -> None:
    assert verdict([KEYRING, COPY], [], [], rewrapped=False) == "verified"
    assert verdict([KEYRING, COPY], [STATE], [STORED], rewrapped=True) == "verified"


@pytest.mark.parametrize("open_one", [KEYRING, COPY])
def test_a_password_that_can_be_had_is_never_verified(open_one: Attempt) -> None:
    tried = [of(one, OPENED) if one is open_one else one for one in (KEYRING, COPY)]
    assert verdict(tried, [], [], rewrapped=True) == "not_verified"


def test_what_was_not_tried_proves_nothing() -> None:
    assert verdict([KEYRING], [], [], rewrapped=True) == "unverified"
    assert verdict([KEYRING, of(COPY, UNTRIED)], [], [], rewrapped=True) == "unverified"
    assert verdict([KEYRING, COPY], [of(STATE, UNTRIED)], [], rewrapped=True) == "unverified"


def test_stored_wraps_of_our_key_file_keep_it_from_being_verified() -> None:
    assert verdict([KEYRING, COPY], [], [STORED], rewrapped=False) == "unverified"
    assert verdict([KEYRING, COPY], [STATE], [STORED], rewrapped=False) == "unverified"
    opened = [of(STATE, OPENED)]
    assert verdict([KEYRING, COPY], opened, [STORED], rewrapped=True) == "unverified"


def test_attempts_and_items_say_nothing_that_no_certificate_may_say() -> None:
    for text in (*ITEMS.values(), str(KEYRING), str(Attempt("copy x", "y", UNTRIED, "it is away"))):
        assert forbidden(text) == []
