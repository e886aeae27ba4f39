"""Mail that cannot be read, unsubscribe tokens of their own, lifted suppressions, broken lanes."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Empty for what was planned before: there the token of the Message-ID goes on unsubscribing.
    op.add_column("message", sa.Column("unsubscribe_token", AutoString(), nullable=True))
    op.create_index("uq_message_unsubscribe_token", "message", ["unsubscribe_token"], unique=True)
    op.add_column("lane", sa.Column("broke_at", UTCDateTime(), nullable=True))
    op.add_column("lane", sa.Column("broke_by", AutoString(), nullable=True))
    op.create_table(
        "unread_mail",
        sa.Column("mailbox_id", _ID, nullable=False),
        sa.Column("folder", AutoString(), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("given_up_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_unread_mail_mailbox_id")),
        sa.PrimaryKeyConstraint("mailbox_id", "folder", "uid_validity", "uid", name=op.f("pk_unread_mail")),
    )
    op.create_table(
        "lifted_suppression",
        sa.Column("hash", AutoString(), nullable=False),
        sa.Column("lifted_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_lifted_suppression")),
    )
