"""The commented ``site.toml`` that ``init`` writes.

It works after one line is edited, the path of the images; everything else has a sensible start.
"""

from __future__ import annotations

import json

PLACEHOLDER = "/path/to/the/images"

_TEMPLATE = """\
# The site file of the imaging orchestrator. What is behind a # is a comment.
# Every key is explained in docs/configuration.md. After a change: orchestrator doctor
#
# Periods are written 90s, 15m, 24h, 35d, 7y. Relative paths start at this file's folder.
# No password or key stands in this file. A secret is referred to by one of
#   { env = "NAME" }   { file = "path" }   { command = ["prog", "arg"] }   { systemd = "name" }

[site]
name = @NAME@
timezone = @TIMEZONE@                  # schedules are meant in this zone, e.g. "America/Chicago"
state_dir = "state"               # catalog, keyring and ledger; not among the images
catalog = "sqlite"                # a file in state_dir; or PostgreSQL, by its URL

# --- Who may act: one table per person; use it with: orchestrator --as it ... ------------------
# operator: runs jobs, restores. custodian: media and keys. compliance: approves disposals.

[actors.it]
name = "Name of the IT administrator"
title = "IT administrator"
roles = ["operator", "custodian"]

[actors.privacy]
name = "Name of the compliance officer"
title = "Compliance officer"
roles = ["compliance"]

# --- Where the images are ------------------------------------------------------------------------

[stores.xrays]
kind = "folder"
path = @STORE@       # EDIT THIS LINE: the folder with the images
jurisdictions = ["US-TX"]         # whose record-keeping law applies
rpo = "24h"                       # the newest good backup is never older than this
rto = "4h"                        # a full restore never takes longer than this
# sentinel = ".mounted"           # this file must be there, or the share is taken for unmounted
# max_loss = 0.05                 # more files than this share gone in one night: stop and say so

# --- Copy 1: a disk of this machine. The first local copy is the primary. ------------------------
# It must not be the disk the images are on: one broken disk would take both.

[copies.disk]
role = "local"
path = "copies/disk"

# --- Copy 2: media that are attached only while they are written --------------------------------
# Take away the # at the beginning of the lines, then: orchestrator medium add COPY PATH

# [copies.rotation]
# role = "offline"
# search = ["/media", "/mnt"]     # where attached media appear
# due_every = "7d"                # a medium must come back at least this often
# mount = ["mount", "/media/backup"]        # optional: attach without a person
# unmount = ["umount", "/media/backup"]     # optional
# power_off = ["udisksctl", "power-off", "--block-device", "/dev/disk/by-label/backup"]   # optional

# --- Copy 3: a bucket with Object Lock, where nothing can be changed before its time -------------

# [copies.vault]
# role = "immutable"
# endpoint = "https://objects.example:8443"
# region = "us-east-1"
# bucket = "my-practice-vault"
# prefix = "xrays"                # optional: a folder in the bucket
# lock_period = "35d"             # nobody can remove a backup for this long
# ca_file = "ca.pem"              # optional: for a server with a certificate of your own
# access_key = { env = "VAULT_ACCESS_KEY" }
# secret_key = { env = "VAULT_SECRET_KEY" }
#
# [copies.vault.sweeper]          # optional: another key, that removes what is no longer locked
# access_key = { env = "SWEEP_ACCESS_KEY" }
# secret_key = { env = "SWEEP_SECRET_KEY" }

# --- Certificates of destruction, and companies that destroy for you ------------------------------

# [organization]                  # stands on every certificate
# address = ["1200 Elm Street", "Austin, Texas 78701"]
# contact = "+1 512 555 0100"

# [certificates]
# paper = "letter"                # or "a4"
# timestamp_url = "https://timestamps.example"    # optional: an authority vouches for the time
# timestamp_ca = "timestamps.pem"                 # ... whose certificates are in this file

# [vendors.shredder]
# name = "Shredding company"
# agreement = "agreements/shredder.pdf"           # the business associate agreement ...
# expires = 2027-12-31                            # ... and its last day

# --- What counts as good (these are the values used if the lines are left out) -------------------

# [targets]
# verified_within = "35d"         # every byte of a copy was read and compared this recently
# observed_within = "48h"         # an older observation counts as unknown
# extend_below = 0.5              # extend locks when less than this share of the period is left
# max_clock_skew = "5m"           # largest difference to the bucket server's clock

# [rotation]                      # which snapshots are kept
# keep_last = 7
# keep_daily = 30
# keep_weekly = 12
# keep_monthly = 36
# keep_yearly = 10
# minimum = 7                     # never fewer than this

# [drills]                        # where restore drills restore to: room for the whole store
# sandbox = "/scratch/drills"     # a folder on a disk of this machine; in state_dir if left out
# overwrite = true                # overwrite the restored images before removing them
"""


def site_template(
    *, name: str = "My practice", timezone: str = "UTC", store_path: str | None = None
) -> str:
    """Return the text of a new site file.

    Args:
        name: The practice's name.
        timezone: Name of a time zone, as in ``America/Chicago``.
        store_path: The folder with the images; None leaves the line to be edited.
    """
    return (
        _TEMPLATE.replace("@NAME@", _quoted(name))
        .replace("@TIMEZONE@", _quoted(timezone))
        .replace("@STORE@", _quoted(store_path or PLACEHOLDER))
    )


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string too, once DEL is escaped as TOML demands.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
