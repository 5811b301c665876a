"""The commands that a recovery kit prints, for a Linux shell.

Pure. They work with restic alone, and with rclone for an attacked bucket: nothing here may need
the product.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.keys.kit_contents import KitContents, KitCopy

INSTALL = "restic version        # 0.18 or newer; else take the one file from https://restic.net"

_WIDTH = 88

_FARTHEST_FIRST = ("offline", "immutable", "local")
"""A medium needs no credential that somebody must make anew first."""


def copy_commands(contents: KitContents, copy: KitCopy) -> list[str]:
    """Return the lines that list and restore what one copy holds."""
    lines = _bucket_lines(copy) if copy.role == "immutable" else []
    for repository in contents.repositories:
        location = copy.locations.get(repository.name)
        if location is None:
            continue
        restic = _restic(copy, location)
        lines += [
            f"# images of {repository.store}: asks for the password of {repository.name}",
            *_folded(restic, "snapshots --tag data"),
            *_folded(restic, f"restore ID --target ./restored-{repository.store}"),
        ]
    return lines


def hidden_commands(contents: KitContents, copy: KitCopy) -> list[str]:
    """Return the lines that bring a bucket back as it was at an instant, and restore from that.

    Source: rclone documentation, "Amazon S3 Storage Providers", --s3-version-at (since 1.59).
    """
    if copy.role != "immutable":
        return []
    trust = [f"--ca-cert {copy.name}-ca.pem"] if copy.ca_certificate is not None else []
    lines = ["rclone version        # 1.59 or newer; else from https://rclone.org"]
    endpoints: set[str] = set()
    for repository in contents.repositories:
        location = copy.locations.get(repository.name)
        if location is None:
            continue
        endpoint, path = _split(location)
        if endpoint not in endpoints:
            endpoints.add(endpoint)
            lines += _rclone_settings(endpoint, copy.region)
        there, store = f"./bucket-{repository.name}", repository.store
        restic = f"restic -r {shlex.quote(there)}", "--no-lock --no-cache"
        lines += [
            "rclone copy --s3-version-at TIME --exclude 'locks/**' \\",
            f"    {' '.join([*trust, shlex.quote(f'bucket:{path}'), shlex.quote(there)])}",
            "# prints the files that are not what their names say: there should be none",
            f"(cd {shlex.quote(there)} && find data index keys snapshots -type f | while read -r f",
            '  do sha256sum "$f" | grep -q "^${f##*/} " || echo "$f"; done)',
            f"# images of {store}: asks for the password of {repository.name}",
            *_folded(restic, "snapshots --tag data"),
            *_folded(restic, f"restore ID --target ./restored-{store}"),
        ]
    return lines


def _split(location: str) -> tuple[str, str]:
    """Split what restic calls a bucket into the server and the path on it."""
    scheme, _, rest = location.removeprefix("s3:").partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", path


def _rclone_settings(endpoint: str, region: str | None) -> list[str]:
    lines = [
        "export RCLONE_CONFIG_BUCKET_TYPE=s3 RCLONE_CONFIG_BUCKET_PROVIDER=Other",
        "export RCLONE_CONFIG_BUCKET_ENV_AUTH=true",
        f"export RCLONE_CONFIG_BUCKET_ENDPOINT={shlex.quote(endpoint)}",
    ]
    if region is not None:
        lines.append(f"export RCLONE_CONFIG_BUCKET_REGION={shlex.quote(region)}")
    return lines


def site_commands(contents: KitContents) -> list[str]:
    """Return the lines that bring back the product's own state, from a copy that was away.

    The disk of the computer comes last: it goes with the computer.
    """
    reachable = [copy for copy in contents.copies if copy.locations]
    if not reachable:
        return []
    copy = min(reachable, key=lambda one: _FARTHEST_FIRST.index(one.role))
    name, location = next(iter(copy.locations.items()))
    restic = _restic(copy, location)
    return [
        f"# from copy {copy.name}, as above; asks for the password of {name}",
        *_folded(restic, "snapshots --tag state"),
        *_folded(restic, "dump ID /state.tar > state.tar"),
        "mkdir -p recovered && tar -xf state.tar -C recovered",
        "umask 077 && mkdir -p state/keys && cp recovered/keyring.json state/keys/",
        f"echo '{contents.site_key.reveal()}' | base64 -d > state/keys/site.key",
    ]


def _folded(restic: tuple[str, str], verb: str) -> list[str]:
    """Return a command in one line, or in several that the shell reads as one."""
    first, options = restic
    if len(f"{first} {options} {verb}") <= _WIDTH:
        return [f"{first} {options} {verb}"]
    if len(f"    {options} {verb}") <= _WIDTH:
        return [f"{first} \\", f"    {options} {verb}"]
    return [f"{first} \\", f"    {options} \\", f"    {verb}"]


def _restic(copy: KitCopy, location: str) -> tuple[str, str]:
    words = []
    if copy.region is not None:
        words += ["-o", f"s3.region={shlex.quote(copy.region)}"]
    if copy.ca_certificate is not None:
        words += ["--cacert", f"{copy.name}-ca.pem"]
    # A read-only medium cannot be locked, and restic's cache hides damage.
    return f"restic -r {shlex.quote(location)}", " ".join([*words, "--no-lock", "--no-cache"])


def _bucket_lines(copy: KitCopy) -> list[str]:
    lines = [
        "export AWS_ACCESS_KEY_ID='FILL IN'         # a key that may read the bucket:",
        "export AWS_SECRET_ACCESS_KEY='FILL IN'     # the provider gives a new one",
    ]
    if copy.ca_certificate is not None:
        lines += [f"cat > {copy.name}-ca.pem <<'EOF'", copy.ca_certificate.strip(), "EOF"]
    return lines
