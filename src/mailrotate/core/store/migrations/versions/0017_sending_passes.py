"""Passes that send, apart from those that only read inboxes or test, and when a runner is to end."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspace", sa.Column("last_sending_pass_at", UTCDateTime(), nullable=True))
    op.execute("UPDATE workspace SET last_sending_pass_at = last_pass_at")
    op.add_column("runner", sa.Column("only", AutoString(), nullable=True))
    op.add_column("runner", sa.Column("ends_at", UTCDateTime(), nullable=True))
