"""The identity that signs certificates: the site's own key, or the one that the site file names.

The site's own private key lives wrapped in the keyring; its self-made certificate lies beside the
certificates it signed, for anybody to have.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.certificates import files as places
from orchestrator.actions.site import Site
from orchestrator.config.issuing import PemSigner, TokenSigner
from orchestrator.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from orchestrator.certificates.identity import Identity

KEY_NAME = "certificates"
"""Name of the site's own signing key in the keyring."""

CERTIFICATE_FILE = "signer.pem"


def certificate_path(site: Site) -> Path:
    """Return where the certificate of the site's own signing key is."""
    return places.folder(site) / CERTIFICATE_FILE


def make_signer(site: Site) -> bool:
    """Make the site's own signing key and its certificate, what of them is missing.

    Returns:
        Whether the key is new.

    Raises:
        CredentialError, DamageError, EngineError: Keyring or disk fail.
    """
    from orchestrator.certificates import identity

    with places.issuing(site):
        key = site.keyring.site_secret(KEY_NAME)
        is_new = key is None
        if key is None:
            key = identity.make_key()
            site.keyring.add_site_secret(KEY_NAME, key)
        path = certificate_path(site)
        if not path.exists() or not identity.belongs(path.read_bytes(), key):
            made = identity.make_certificate(key, site.config.name, now=site.clock.now())
            places.write(path, made)
    return is_new


def signing_identity(site: Site) -> Identity:
    """Return who signs.

    Raises:
        RefusedError: The site has no signing key yet.
        NotFoundError, EngineError: A file that the site file names cannot be read.
        CredentialError: A passphrase or pin is missing.
    """
    from orchestrator.certificates.identity import PemIdentity, TokenIdentity, key_pem

    signer = site.config.certificates.signer
    if isinstance(signer, PemSigner):
        return PemIdentity(
            certificate=signer_certificate(site),
            key=places.read(signer.key, "the file of certificates.pem.key"),
            passphrase=None
            if signer.passphrase is None
            else site.resolve(signer.passphrase).reveal().encode(),
        )
    if isinstance(signer, TokenSigner):
        return TokenIdentity(
            certificate=signer_certificate(site),
            module=str(signer.module),
            token=signer.token,
            key=signer.key,
            pin=site.resolve(signer.pin).reveal(),
        )
    key = site.keyring.site_secret(KEY_NAME)
    if key is None:
        raise RefusedError(
            "this site has no key yet that signs certificates",
            hint=f"orchestrator init {site.config.path.parent}",
        )
    return PemIdentity(certificate=signer_certificate(site), key=key_pem(key))


def signer_certificate(site: Site) -> bytes:
    """Return the certificate of the key that signs, as PEM, with those of its authorities.

    Raises:
        RefusedError: The site's own certificate is missing.
        NotFoundError, EngineError: The file that the site file names cannot be read.
    """
    signer = site.config.certificates.signer
    if signer is not None:
        return places.read(signer.certificate, "the file of the signer's certificate")
    try:
        return places.read(certificate_path(site), "the signer's certificate")
    except NotFoundError:
        raise RefusedError(
            "the certificate of this site's signing key is missing",
            hint=f"orchestrator init {site.config.path.parent}",
        ) from None
