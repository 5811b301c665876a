"""What every command is given by the root: which site, who acts, how to answer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.actions.site import Site

SYSTEM_SITE_FILE = Path("/etc/orchestrator/site.toml")


@dataclass(slots=True)
class Invocation:
    """The root's options.

    Attributes:
        site_file: The site file named by hand; None to look for it.
        actor: Who acts, by the name in the site file; None for `system`.
        as_json: Answer with one JSON document.
        debug: Log to stderr, and show stack traces.
    """

    site_file: Path | None
    actor: str | None
    as_json: bool
    debug: bool

    def find_site_file(self) -> Path:
        """Return the site file: by hand, by environment, here, or the system's.

        Raises:
            ConfigError: None of them exists.
        """
        if self.site_file is not None:
            return self.site_file
        named = os.environ.get("ORCHESTRATOR_SITE")
        if named:
            return Path(named)
        for candidate in (Path("site.toml"), SYSTEM_SITE_FILE):
            if candidate.is_file():
                return candidate
        raise ConfigError(
            ["site.toml: not found here, in $ORCHESTRATOR_SITE or in /etc/orchestrator"],
            hint="orchestrator init DIR --store PATH",
        )

    def open_site(self) -> Site:
        """Read the site file and put the site together.

        Raises:
            ConfigError: There is no site file, or it is wrong.
            CredentialError: The keyring cannot be opened.
        """
        from orchestrator.cli.render import progress_for
        from orchestrator.wiring import open_site

        return open_site(
            self.find_site_file(), actor=self.actor, progress=progress_for(as_json=self.as_json)
        )


pass_invocation = click.make_pass_decorator(Invocation)
