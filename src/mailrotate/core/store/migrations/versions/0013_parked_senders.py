"""Senders whose late messages were parked by a user (H4)."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign_sender", sa.Column("parked_before", UTCDateTime(), nullable=True))
