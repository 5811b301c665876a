"""A disk's errors, in words of the ledger and of a copy."""

from __future__ import annotations

import errno
import os

import pytest

from orchestrator.engines.disk_errors import explain
from orchestrator.errors import CredentialError, EngineError, OrchestratorError, UnreachableError
from orchestrator.ledger.disk import explained


def refusal(code: int) -> OSError:
    # with a path, as the system's calls give it: it belongs in no message
    return OSError(code, os.strerror(code), "/store/DOE^JANE")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EDQUOT, EngineError),
        (errno.EIO, EngineError),
        (errno.ETIMEDOUT, UnreachableError),
        (errno.ESTALE, UnreachableError),
        (errno.EPERM, CredentialError),
        (errno.EXDEV, EngineError),
    ],
)
def test_a_trouble_is_of_one_kind_wherever_it_happens_and_names_no_path(
    code: int, error: type[OrchestratorError]
) -> None:
    of_copy = explain("disk", "storing a pack", refusal(code))
    with pytest.raises(OrchestratorError) as of_ledger, explained("writing an entry"):
        raise refusal(code)
    assert type(of_copy) is type(of_ledger.value) is error
    assert of_copy.message.startswith("copy disk: storing a pack: ")
    assert of_ledger.value.message.startswith("ledger: writing an entry: ")
    assert "DOE" not in of_copy.message + of_ledger.value.message


def test_what_nobody_has_words_for_is_told_in_the_systems() -> None:
    assert explain("disk", "listing it", refusal(errno.EXDEV)).message.endswith(
        os.strerror(errno.EXDEV)
    )
    assert explain("disk", "listing it", OSError("odd")).message == "copy disk: listing it: OSError"
