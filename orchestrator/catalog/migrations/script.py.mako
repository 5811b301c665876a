"""${message}.

Revision ${up_revision}, after ${down_revision}.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema; the catalog of the revision before stays whole if this fails."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Refuse: an older program would not know what the newer one has recorded."""
    raise NotImplementedError("a catalog is not taken back to an older schema")
