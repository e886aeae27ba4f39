"""Count a campaign's sent messages by sender and step from an index alone, and find the replies of a day."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_message_campaign", "message")
    op.create_index(
        "ix_message_campaign",
        "message",
        ["campaign_id", "state", "kind", "campaign_sender_id", "step_position"],
    )
    op.create_index(
        "ix_recipient_replied",
        "recipient",
        ["ended_at"],
        sqlite_where=sa.text("state = 'replied'"),
        postgresql_where=sa.text("state = 'replied'"),
    )
