"""Signs with a key in a PKCS#11 token. Knows python-pkcs11 and pyHanko's signer for it.

A wrong PIN is a try spent: tokens lock themselves after a few. The last try is never made from
here, and a PIN stands in no message.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.certificates.identity import TokenIdentity, check_strong
from orchestrator.errors import ConfigError, CredentialError

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer

_TABLE = "certificates.token"
_HINT = "check certificates.token in the site file: token, key and pin"
_LOCKED = "set its PIN anew with its own program, then pin of certificates.token in the site file"
_PIN = "correct pin of certificates.token in the site file before trying again: tokens lock"


@contextmanager
def token_signer(identity: TokenIdentity, chain: list[Any]) -> Iterator[Signer]:
    """Log in to a token and yield what signs with its key; log out at the end.

    Args:
        identity: The token and the key.
        chain: The signer's certificate, then those of its authorities, parsed.

    Raises:
        CredentialError: There is no such token or key, or the token refuses.
        ConfigError: The library cannot be used, the certificate's key is too weak, or there is no
            support for tokens.
    """
    try:
        from pkcs11 import PKCS11Error
        from pyhanko.sign.pkcs11 import PKCS11Signer
    except ImportError:
        raise ConfigError(
            [f"{_TABLE}: there is no support for tokens here"],
            hint="install imaging-orchestrator[pkcs11]",
        ) from None
    check_strong(identity.certificate, f"{_TABLE}.certificate")
    own, *others = chain
    session = _session(identity)
    try:
        _demand_key(session, identity)
        yield PKCS11Signer(
            session,
            signing_cert=own,
            ca_chain=others,
            key_label=identity.key,
            # The raw mechanism: many tokens, SoftHSM among them, have no ECDSA with a hash.
            use_raw_mechanism=own.public_key.algorithm == "ec",
        )
    except PKCS11Error as error:
        raise CredentialError(
            f"the token {identity.token} did not sign: {type(error).__name__}", hint=_HINT
        ) from None
    finally:
        with suppress(PKCS11Error):  # it may have been pulled out
            session.close()


def demand_tries(name: str, flags: int) -> None:
    """Refuse to log in where a wrong PIN would lock a token.

    Args:
        name: Its label.
        flags: As the token gives them (CKF_...).

    Raises:
        CredentialError: It is locked, or one wrong PIN away from it.

    Source: PKCS #11 v2.40, CK_TOKEN_INFO flags.
    """
    from pkcs11 import TokenFlag

    if flags & TokenFlag.USER_PIN_LOCKED:
        raise CredentialError(f"the token {name} is locked by too many wrong PINs", hint=_LOCKED)
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise CredentialError(
            f"the token {name} was not opened: one more wrong PIN would lock it", hint=_LOCKED
        )


def demand_intact(pdf: bytes) -> None:
    """Check the signature that a token has just made: nobody else knows which key made it.

    Raises:
        ConfigError: It does not verify: the key is not that of the certificate.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    (made,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    nobody = ValidationContext(trust_roots=[], allow_fetching=False)
    status = validate_pdf_signature(made, signer_validation_context=nobody, skip_diff=True)
    if not (status.intact and status.valid):
        raise ConfigError([f"{_TABLE}: the key is not that of the certificate"])


def _session(identity: TokenIdentity) -> Any:
    """Open the token; every way in which that fails has its own words."""
    from pkcs11 import PKCS11Error, exceptions

    library = _library(identity.module)
    name = identity.token
    try:
        token = library.get_token(token_label=name)
        demand_tries(name, int(token.flags))
        return token.open(user_pin=identity.pin)
    except exceptions.NoSuchToken:
        wrong, hint = f"there is no token of the label {name}", _HINT
    except exceptions.MultipleTokensReturned:
        wrong, hint = f"there are several tokens of the label {name}", "disconnect all but one"
    except (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange):
        wrong, hint = f"the token {name} was not opened: its PIN is another one", _PIN
    except exceptions.PinLocked:
        wrong, hint = f"the token {name} is locked by too many wrong PINs", _LOCKED
    except PKCS11Error as error:
        wrong, hint = f"the token {name} was not opened: {type(error).__name__}", _HINT
    raise CredentialError(wrong, hint=hint)


def _library(module: str) -> Any:
    from pkcs11 import PKCS11Error, lib

    if not Path(module).is_file():
        raise ConfigError([f"{_TABLE}.module: there is no such file"])
    try:
        return lib(module)
    except PKCS11Error:
        # What the loader says names addresses and versions; the file is what has to change.
        raise ConfigError([f"{_TABLE}.module: it is no PKCS#11 library that starts here"]) from None


def _demand_key(session: Any, identity: TokenIdentity) -> None:
    from pkcs11 import Attribute, ObjectClass

    wanted = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.SIGN: True,
        Attribute.LABEL: identity.key,
    }
    found = len(list(session.get_objects(wanted)))
    if found != 1:
        raise CredentialError(
            f"the token {identity.token} has {found or 'no'} keys of the label {identity.key} "
            "that may sign",
            hint=f"correct key in {_TABLE} of the site file",
        )
