"""Seats, requests and all that a mailbox can be set to; tags and the contacts' timeline."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("user", sa.Column("removed_at", UTCDateTime(), nullable=True))
    op.add_column("slot", sa.Column("removed_at", UTCDateTime(), nullable=True))
    # The next renewal follows from the day on which a slot was bought.
    op.drop_column("slot", "renews_on")
    for column in (
        sa.Column("sends_as", AutoString(), nullable=True),
        sa.Column("is_shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("folders", AutoString(), nullable=True),
        sa.Column("contact_book", AutoString(), nullable=True),
        sa.Column("ramp_start", sa.Integer(), nullable=True),
        sa.Column("ramp_step", sa.Integer(), nullable=True),
        sa.Column("ramp_ceiling", sa.Integer(), nullable=True),
        sa.Column("ramp_from", UTCDateTime(), nullable=True),
    ):
        op.add_column("connection", column)
    op.create_index("uq_signature_name", "signature", ["connection_id", "name"], unique=True)
    op.create_index(
        "uq_signature_main",
        "signature",
        ["connection_id"],
        unique=True,
        sqlite_where=sa.text("is_main"),
        postgresql_where=sa.text("is_main"),
    )
    _make_seat_addresses()
    _make_mailbox_tables()
    _make_contact_tables()


def _make_seat_addresses() -> None:
    op.create_table(
        "seat_address",
        sa.Column("canonical", AutoString(), nullable=False),
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("mailbox_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_seat_address_mailbox_id")),
        sa.PrimaryKeyConstraint("canonical", name=op.f("pk_seat_address")),
    )
    op.create_index(op.f("ix_seat_address_mailbox_id"), "seat_address", ["mailbox_id"], unique=False)
    connection = op.get_bind()
    held: dict[str, dict[str, object]] = {}
    query = sa.text("SELECT id, address FROM mailbox WHERE removed_at IS NULL ORDER BY id")
    for mailbox_id, address in connection.execute(query).all():
        canonical = _canonical(address)
        # Two spellings of one Gmail address could be connected until now: the first one keeps it.
        held.setdefault(canonical, {"canonical": canonical, "address": address, "mailbox_id": mailbox_id})
    if held:
        named = "(canonical, address, mailbox_id) VALUES (:canonical, :address, :mailbox_id)"
        connection.execute(sa.text(f"INSERT INTO seat_address {named}"), list(held.values()))


def _canonical(address: str) -> str:
    """As the program compared addresses when this revision was written."""
    local, _, domain = address.rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        return f"{local.partition('+')[0].replace('.', '')}@gmail.com"
    return address


def _make_mailbox_tables() -> None:
    op.create_table(
        "alias",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("sender_name", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_alias_connection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_alias", "alias", ["connection_id", "address"], unique=True)
    op.create_table(
        "mailbox_share",
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_mailbox_share_connection_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_mailbox_share_user_id")),
        sa.PrimaryKeyConstraint("connection_id", "user_id", name=op.f("pk_mailbox_share")),
    )
    op.create_table(
        "mailbox_request",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("canonical", AutoString(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("requested_by", _ID, nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("checks", sa.Text(), nullable=False),
        sa.Column("requested_at", UTCDateTime(), nullable=False),
        sa.Column("decided_by", _ID, nullable=True),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("reason", AutoString(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'denied')", name=op.f("ck_mailbox_request_state")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["user.id"], name=op.f("fk_mailbox_request_decided_by")),
        sa.ForeignKeyConstraint(["requested_by"], ["user.id"], name=op.f("fk_mailbox_request_requested_by")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_mailbox_request_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox_request")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_mailbox_request_current",
        "mailbox_request",
        ["canonical"],
        unique=True,
        sqlite_where=sa.text("state <> 'denied' AND ended_at IS NULL"),
        postgresql_where=sa.text("state <> 'denied' AND ended_at IS NULL"),
    )


def _make_contact_tables() -> None:
    op.create_table(
        "contact_tag",
        sa.Column("contact_id", _ID, nullable=False),
        sa.Column("tag", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_contact_tag_contact_id")),
        sa.PrimaryKeyConstraint("contact_id", "tag", name=op.f("pk_contact_tag")),
    )
    op.create_index("ix_contact_tag_tag", "contact_tag", ["tag", "contact_id"], unique=False)
    op.create_table(
        "timeline",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("contact_id", _ID, nullable=False),
        sa.Column("mailbox_id", _ID, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("direction", AutoString(), nullable=False),
        sa.Column("header_id", AutoString(), nullable=False),
        sa.Column("subject", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_timeline_contact_id")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_timeline_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_timeline_contact", "timeline", ["contact_id", "at"], unique=False)
    op.create_index("uq_timeline", "timeline", ["contact_id", "mailbox_id", "header_id"], unique=True)
