"""The start of the machine that made the latest pass."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspace", sa.Column("boot_id", AutoString(), nullable=True))
    op.add_column("workspace", sa.Column("booted_at", UTCDateTime(), nullable=True))
