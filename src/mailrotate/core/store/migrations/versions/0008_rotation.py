"""What rotations go by: the weights of senders, for whom a recipient was added, and the words of a choice."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("campaign_sender", sa.Column("weight", sa.Integer(), nullable=True))
    op.add_column("campaign_sender", sa.Column("counted_weight", sa.Integer(), nullable=True))
    _keep_counts(op.get_bind())
    op.drop_column("campaign", "spread_over")
    op.create_table(
        "assignment",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("campaign_id", _ID, nullable=False),
        sa.Column("words", AutoString(), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_assignment_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sqlite_autoincrement=True,
    )
    op.add_column("recipient", sa.Column("added_for", _ID, nullable=True))
    op.add_column("recipient", sa.Column("assignment_id", _ID, nullable=True))


def _keep_counts(connection: sa.Connection) -> None:
    """Counts were made among the senders in `spread_over`; every other sender's count was zero."""
    query = sa.text("SELECT spread_over FROM campaign WHERE spread_over <> '' AND rotation IS NOT NULL")
    change = sa.text("UPDATE campaign_sender SET counted_weight = 1 WHERE id = :id")
    for spread_over in connection.execute(query).scalars().all():
        connection.execute(change, [{"id": int(sender_id)} for sender_id in spread_over.split(",")])
