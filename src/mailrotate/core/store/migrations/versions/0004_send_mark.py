"""The latest mark before a final dot, by which an old or copied database is recognised."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "send_mark",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("home", AutoString(), nullable=True),
        sa.Column("pass_id", AutoString(), nullable=True),
        sa.Column("compare_since", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_send_mark"),
    )
