"""Copies that a lab writes into a site file: media below a folder, and a bucket of its server.

The credentials come by environment: ``VAULT_ACCESS_KEY`` and ``VAULT_SECRET_KEY`` of the nightly
run's account, ``SWEEP_…`` of the sweeper's.
"""

from __future__ import annotations

import json
from pathlib import Path


def rotation(search: Path) -> str:
    """Return an offline copy whose media appear below a folder."""
    return f"""
[copies.rotation]
role = "offline"
search = [{json.dumps(str(search))}]
due_every = "7d"
"""


def vault(endpoint: str, bucket: str) -> str:
    """Return an immutable copy in a bucket; it has no sweeper yet."""
    return f"""
[copies.vault]
role = "immutable"
endpoint = {json.dumps(endpoint)}
region = "us-east-1"
bucket = {json.dumps(bucket)}
lock_period = "35d"
access_key = {{ env = "VAULT_ACCESS_KEY" }}
secret_key = {{ env = "VAULT_SECRET_KEY" }}
"""


SWEEPER = """
[copies.vault.sweeper]
access_key = { env = "SWEEP_ACCESS_KEY" }
secret_key = { env = "SWEEP_SECRET_KEY" }
"""
"""The account that removes from the bucket what no lock holds any more."""
