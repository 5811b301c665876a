"""What a job is about on this site: its stores, its copies, and why it may have nothing to do."""

from __future__ import annotations

from orchestrator.actions.site import Site
from orchestrator.config.jobs import Action, Job

_ROLES: dict[Action, tuple[str, ...]] = {"extend": ("immutable",), "probe": ("immutable",)}
"""Actions that only copies of some roles know."""

_OF_RETENTION: tuple[Action, ...] = ("disposal-settle", "retention-plan", "overdue-review")
"""Actions that are nothing where nothing is adopted or disposed of."""

_OF_COPIES: tuple[Action, ...] = ("replicate", "check", "extend", "probe", "drill")
"""Actions that are nothing without a copy."""


def stores_of(site: Site, job: Job) -> list[str]:
    """Return the names of the stores a job selects, in the order of the site file."""
    return [name for name in site.config.stores if job.selects_store(name)]


def copies_of(site: Site, job: Job) -> list[str]:
    """Return the names of the copies a job selects and its action knows."""
    roles = _ROLES.get(job.action)
    first = site.config.primary.name
    return [
        name
        for name, copy in site.config.copies.items()
        if job.selects_copy(name, copy.role)
        and (roles is None or copy.role in roles)
        and not (job.action == "replicate" and name == first)
    ]


def idle(site: Site, job: Job) -> str | None:
    """Say why a job has nothing to do on this site; None if it has something to do.

    Such a job is never due, and nothing is missed if it does not run.
    """
    if job.action in _OF_COPIES and not copies_of(site, job):
        wanted = " or ".join(job.copies or _ROLES.get(job.action, ("replica",)))
        return f"nothing to do here: the site has no copy that is {wanted}"
    if job.action == "purge-cache" and not site.config.caches:
        return "nothing to do here: the site names no cache"
    if job.action in _OF_RETENTION:
        from orchestrator.actions.retention import jobs

        return jobs.idle(site, job.action)
    return None
