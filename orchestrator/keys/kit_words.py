"""The sentences of a recovery kit, the same in the text file and on the page.

Pure. Written for somebody who owns a practice, not a data centre.
"""

from __future__ import annotations

WARNING_TITLE = "This opens every backup. It must leave this computer today."
WARNING = (
    "Print it, or copy it to a USB stick. Lock it away outside the practice: a safe, a bank box, "
    "your lawyer. Keep a second one somewhere else.",
    "Then delete both files from the computer. Whoever holds this kit can read all images. "
    "If it is lost and so is the computer, nobody on earth can open the backups.",
)

WHEN = "When the computer is gone"
STEPS = (
    "Stay calm and change nothing on any copy. Take a Linux computer, or ask somebody who has one.",
    "Install restic, a free program (https://restic.net), version 0.18 or newer.",
    "Choose a copy from the list below that you can reach, and do what it says there.",
    "Type its commands. Where restic asks for the password, scan its QR code or type it.",
    "The first command lists snapshots, newest last. Put the ID of one in place of ID in the next.",
    "The images are in the folder the last command names. Compare a few before you go on.",
)

COPIES = "The copies"
PASSWORDS = "The passwords"
TYPING_NOTE = (
    "Type a password in one piece, without gaps; capital and small letters differ. On the printed "
    "page digits are underlined. The check is not part of the password."
)

HIDDEN_BUCKET = (
    "A bucket with Object Lock keeps every version. If somebody overwrote or hid objects, restic "
    "alone sees the newest version only and may find nothing or report damage. The good versions "
    "are still there. Install rclone, a free program, and put the last instant before it happened "
    "in place of TIME, in UTC, such as 2026-03-01T17:00:00Z:"
)
HIDDEN_AFTER = (
    "If names were printed, try an earlier instant, or let imaging-orchestrator do it: its restore "
    "--as-of and bucket recover know the right version by its SHA-256."
)

SITE = "To bring back the orchestrator itself"
SITE_NOTE = (
    "Every repository also holds the product's own state: site file, keyring, catalog. The site "
    "key opens that keyring. Install imaging-orchestrator, then:"
)
SITE_AFTER = (
    "Put recovered/site.toml beside the folder state, correct its paths, then: "
    "orchestrator catalog rebuild --copy COPY"
)
DISPOSED = (
    "A copy that was away may still hold studies that were lawfully disposed of. The commands "
    "above bring them back; the orchestrator leaves them out. Its list, without names, is the "
    "file suppressed.json of this kit; a newer one lies in every bucket and beside the site's "
    "state. Put the file into state/recovery-kit before the catalog is rebuilt."
)

LEDGER_NOTE = (
    "The public key of the ledger; it opens nothing. An export of the ledger is genuine if it "
    "verifies with this key:"
)

BLOCK = "For the machine"
BLOCK_NOTE = (
    "The same once more, for the product to read (orchestrator ... --kit FILE). A checksum finds "
    "typing errors."
)

ROLES = {
    "local": "disk of the computer",
    "offline": "media kept away from the computer",
    "immutable": "bucket in which nothing can be changed before its time",
}
