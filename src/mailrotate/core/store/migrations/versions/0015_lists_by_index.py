"""Find the events of an action, and the first recipients of a sender or a state, by steps of an index."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_event_action", "event", ["action", "id"])
    op.drop_index("ix_recipient_campaign", "recipient")
    op.create_index("ix_recipient_campaign", "recipient", ["campaign_id", "state", "id"])
    op.create_index("ix_recipient_sender", "recipient", ["campaign_sender_id", "state", "id"])
