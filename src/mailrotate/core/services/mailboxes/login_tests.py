"""Connection tests that a user asks for."""

from datetime import datetime

from mailrotate.core.rules import roles
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import health
from mailrotate.core.services.sending.health import TestResult
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import mailboxes
from mailrotate.core.values.states import ConnectionState


def test(context: Context, address: str, now: datetime) -> TestResult:
    """Log in to both servers now, through the mailbox's lane (C1). Raises Busy, Refused, KeyTrouble."""
    with context.store.reading() as connection:
        box = seats.find_connected(connection, context.actor, address)
    with holding_lane(context, box.id, now) as lane:
        return health.test(context, lane, now)


def testable(context: Context) -> list[str]:
    """List the addresses that the acting user can test. Raises Refused (`user.…`)."""
    with context.store.reading() as connection:
        acting = seats.require_active(connection, context.actor)
        boxes = mailboxes.listing(connection)
    return [
        box.address
        for box in boxes
        if box.state is not ConnectionState.DISCONNECTED
        and roles.may_on_seat(acting.role, box.user_id == acting.id)
    ]
