"""Making a site, or what is still missing of one. Never changes what is there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.actions.certificates.signer import make_signer
from orchestrator.actions.kit import refresh_kit
from orchestrator.actions.places import read_marker, write_marker
from orchestrator.actions.run import run
from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.catalog import repositories
from orchestrator.catalog.tables import Repository as RepositoryRow
from orchestrator.engines.digest import sha256_of
from orchestrator.errors import OrchestratorError, RefusedError


@dataclass(slots=True)
class SetUp:
    """What was made.

    Attributes:
        site: The site file.
        state_dir: The state folder.
        recovery_kit: The kit's text file.
        recovery_kit_html: The kit for printing.
        made: What is new, in words.
    """

    site: Path
    state_dir: Path
    recovery_kit: Path
    recovery_kit_html: Path
    made: list[str] = field(default_factory=list)


def write_site_file(
    directory: Path, *, store: Path | None, name: str, timezone: str | None
) -> tuple[Path, bool]:
    """Write the commented site file of a new site.

    Args:
        directory: The site's folder; made with mode 0700 if it is not there.
        store: The folder with the images; None leaves the line to be edited.
        name: The practice's name.
        timezone: Zone of the schedules; None takes this machine's.

    Returns:
        Where it is, and whether it is new.

    Raises:
        OrchestratorError: The folder or file cannot be made.
    """
    from orchestrator.config.template import site_template

    path = Path(os.path.abspath(directory)) / "site.toml"
    if path.exists():
        return path, False
    text = site_template(
        name=name,
        timezone=timezone or machine_timezone(),
        store_path=None if store is None else os.path.abspath(store),
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".toml.part")
        part.write_text(text, encoding="utf-8")
        part.chmod(0o600)
        part.rename(path)
    except OSError as error:
        raise OrchestratorError(
            f"the site file {path} cannot be written: {error.strerror}",
            hint="choose another folder",
        ) from None
    return path, True


def machine_timezone() -> str:
    """Return the name of this machine's time zone; UTC if it has none."""
    real = os.path.realpath("/etc/localtime")
    _, found, zone = real.partition("/zoneinfo/")
    zone = zone.removeprefix("posix/").removeprefix("right/")
    return zone if found and zone not in ("Etc/UTC", "UTC", "localtime") else "UTC"


def make_state(site: Site) -> list[str]:
    """Make the state folder, the keyring and the catalog if they are not there.

    Returns:
        What was made, in words.
    """
    from orchestrator.keys.keyring import Keyring

    made = []
    try:
        site.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OrchestratorError(
            f"the state folder {site.state_dir} cannot be made: {error.strerror}",
            hint="choose another state_dir in the site file",
        ) from None
    if not keyring_path(site.state_dir).exists():
        Keyring.create(keyring_path(site.state_dir), key_file_path(site.state_dir))
        made.append("keyring")
    # Where the keyring knows repositories there was a catalog: an empty one would hide its loss.
    known = any(entry.repository_id is not None for entry in site.keyring.entries())
    site.open_catalog(create=not known).dispose()
    return made


def complete(site: Site) -> SetUp:
    """Make every local copy's folder, every store's repository, ledger and recovery kit.

    Args:
        site: The site, with state folder, keyring and catalog.

    Raises:
        RefusedError: A copy's folder belongs to another site, or the ledger was lost.
        OrchestratorError: A repository cannot be made.
    """
    made = make_state(site)
    with run(site, "init"):
        for copy in site.local_copies():
            marker = read_marker(copy.path)
            if marker is None:
                _make_copy(copy.path, copy.name, site.keyring.id)
                made.append(f"copy {copy.name}")
            elif marker.get("site") != site.keyring.id or marker.get("copy") != copy.name:
                raise RefusedError(
                    f"copy {copy.name}: the folder {copy.path} belongs to another copy or site",
                    hint="choose another path in the site file",
                )
        for store in site.config.stores:
            if _make_repository(site, store):
                made.append(f"repository of store {store}")
        if _make_ledger(site):
            made.append("ledger")
        if make_signer(site):
            made.append("key that signs certificates")
        kit = refresh_kit(site)
    return SetUp(site.config.path, site.state_dir, kit.text, kit.html, made)


def _make_ledger(site: Site) -> bool:
    """Make the site's ledger, which is made once and never again.

    Raises:
        RefusedError: It was made, and is gone.
    """
    from orchestrator.actions.ledger import mirror
    from orchestrator.actions.ledger.opening import make_ledger, new_origin

    made = make_ledger(
        site.state_dir,
        site.keyring,
        origin=new_origin(site.config.name, site.keyring.id, 1),
        now=site.clock.now(),
    )
    mirror.catch_up(site)
    return made


def _make_copy(folder: Path, name: str, site_id: str) -> None:
    try:
        write_marker(folder, copy=name, site_id=site_id)
        os.chmod(folder, 0o700)
    except OSError as error:
        raise OrchestratorError(
            f"copy {name}: the folder {folder} cannot be made: {error.strerror}",
            hint="choose another path in the site file",
        ) from None


def _make_repository(site: Site, store: str) -> bool:
    """Make a store's repository, or adopt one that a killed `init` has left behind."""
    with site.catalog.reading() as session:
        if repositories.of_store(session, store):
            return False
    name = store
    if not any(
        entry.name == name for entry in site.keyring.entries() if entry.purpose == "repository"
    ):
        site.keyring.add_repository(name)
    engine = site.primary_engine(store, name)
    root = site.primary_root(name)
    repository_id = engine.config_id() if (root / "config").exists() else engine.init()
    site.keyring.bind(name, repository_id, [key.id for key in engine.keys()])  # noqa: SIM118
    with site.catalog.transaction() as session:
        repositories.add(
            session,
            RepositoryRow(
                id=repository_id,
                store=store,
                name=name,
                config_sha256=sha256_of(root / "config"),
                created_at=site.clock.now(),
            ),
        )
    return True
