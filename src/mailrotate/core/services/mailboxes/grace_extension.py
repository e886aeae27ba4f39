"""Show the running deadlines, and give a mailbox that is away more time (C12)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules.grace import extended
from mailrotate.core.services import periods
from mailrotate.core.services.access import authority, naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.store import deadlines, events, visibility
from mailrotate.core.store.deadlines import StoredDeadline
from mailrotate.core.store.events import About
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command


@dataclass(frozen=True)
class Running:
    """A running deadline, and how many open recipients wait for its mailbox."""

    deadline: StoredDeadline
    recipients: int


def listing(context: Context, now: datetime) -> Sequence[Running]:
    """The running deadlines in the campaigns that the acting user may see, soonest first."""
    with looking(context, now) as connection:
        return seen_by(connection, authority.viewer_of(connection, context.actor))


def seen_by(connection: Connection, viewer: int | None) -> Sequence[Running]:
    """The running deadlines in the campaigns that a user may see (None: in all), soonest first."""
    seen = None if viewer is None else visibility.campaign_ids(connection, viewer)
    running = [one for one in deadlines.running_where(connection) if seen is None or one.campaign_id in seen]
    people = deadlines.hanging(connection, running)
    return [Running(one, people.get(one.id, 0)) for one in running]


def extend(
    context: Context, address: str, by: timedelta, campaign: str | None, now: datetime
) -> Sequence[StoredDeadline]:
    """Add `by` to the running deadlines of a mailbox, in one campaign or in all; return them as they are now.

    Raises BadInput (`grace.too_long`), NotFound, Refused (`user.…`, `grace.none` when none runs any more).
    """
    longest = periods.PERIODS["failure"].most
    if by > longest:
        raise BadInput("grace.too_long", f"a deadline is extended by at most {longest.days}d at a time")
    with acting(context, now) as (connection, now):
        box = seats.find_mailbox(connection, context.actor, address)
        where = [deadlines.of_mailbox(box.id)]
        place = ""
        if campaign is not None:
            found = naming.find_campaign(connection, campaign)
            where.append(deadlines.of_campaign(found.id))
            place = f" in campaign '{found.name}'"
        running = deadlines.running_where(connection, *where)
        if not running:
            raise Refused(
                "grace.none",
                f"no deadline of {box.address} is running{place}; one that has passed cannot be extended",
                Command("grace", "list"),
            )
        moved = [replace(one, ends_at=extended(one.ends_at, by)) for one in running]
        for one in moved:
            deadlines.set_end(connection, one.id, one.ends_at)
            about = About(mailbox_id=box.id, campaign_id=one.campaign_id)
            ends = one.ends_at.isoformat()
            events.record(connection, context.actor, "grace.extended", now, about, ends_at=ends)
        return moved
