"""Why a sender left a rotation, what ended a deadline, and whom a `stopped` mark concerns."""

import hashlib

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1000


def upgrade() -> None:
    with op.batch_alter_table("campaign_sender") as senders:
        senders.add_column(sa.Column("left_reason", AutoString(), nullable=True))
    with op.batch_alter_table("deadline") as deadlines:
        deadlines.add_column(sa.Column("ended_by", AutoString(), nullable=True))
        deadlines.add_column(sa.Column("stopped_count", sa.Integer(), nullable=True))
        deadlines.add_column(sa.Column("reassigned_count", sa.Integer(), nullable=True))
        deadlines.create_check_constraint("kind", "kind IN ('disconnect', 'failure')")
    op.create_index(
        "uq_deadline_running",
        "deadline",
        ["mailbox_id", "campaign_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_deadline_ends",
        "deadline",
        ["ends_at", "id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_deadline_campaign", "deadline", ["campaign_id"])
    op.add_column("recipient", sa.Column("address_hash", AutoString(), nullable=True))
    connection = op.get_bind()
    _tell_departures(connection)
    _hash_addresses(connection)


def _tell_departures(connection: sa.Connection) -> None:
    """A sender that left as it joined took recipients over; every other left with its mailbox."""
    connection.execute(
        sa.text(
            "UPDATE campaign_sender SET left_reason = "
            "CASE WHEN left_at = joined_at THEN 'took_over' ELSE 'mailbox_removed' END "
            "WHERE left_at IS NOT NULL"
        )
    )


def _hash_addresses(connection: sa.Connection) -> None:
    """By contact, in portions; erased contacts have no address left to compare."""
    query = sa.text(
        "SELECT id, canonical FROM contact WHERE canonical IS NOT NULL AND id > :last ORDER BY id LIMIT :most"
    )
    change = sa.text("UPDATE recipient SET address_hash = :hash WHERE contact_id = :id")
    last = 0
    while rows := connection.execute(query, {"last": last, "most": _ROWS_AT_ONCE}).all():
        connection.execute(
            change,
            [{"id": row.id, "hash": hashlib.sha256(row.canonical.encode()).hexdigest()} for row in rows],
        )
        last = rows[-1].id
