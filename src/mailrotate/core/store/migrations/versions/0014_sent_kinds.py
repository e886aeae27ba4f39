"""Count the sent messages of a campaign without its test messages, from an index alone."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_message_campaign", "message")
    op.create_index("ix_message_campaign", "message", ["campaign_id", "state", "kind"])
