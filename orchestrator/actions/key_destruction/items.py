"""Where a password may be that no program of ours reaches: said by a person, or printed as open.

Closed words; pure.
"""

from __future__ import annotations

ITEMS: dict[str, str] = {
    "kits": "Recovery kits, printed or as files, which hold the password in clear",
    "passwords": "Passwords that were printed by key unwrap, or written down or stored elsewhere",
    "shares": "Shares and other escrow of the password or of the site key",
    "backups": "Backups and images of this machine, which hold keyring and key file together",
}
"""By the word for ``--attest``, what it stands for."""
