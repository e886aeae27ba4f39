"""The health of connections: the effects of failures on a mailbox, and recovery (C1, C2, F4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules.network_trouble import patience_for
from mailrotate.core.rules.refusal_row import suspicion
from mailrotate.core.rules.replies import ReplyVerdict, classify
from mailrotate.core.rules.transitions import CONNECTION
from mailrotate.core.services import periods
from mailrotate.core.services.access import logins
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import affected_campaigns
from mailrotate.core.services.effects.door import acting
from mailrotate.core.store import connections, events, mailboxes, moves
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import inboxes, lanes, refusals, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.clock import next_whole_second, rfc3339
from mailrotate.core.values.mail import INBOX, CheckStep, ServerReply
from mailrotate.core.values.reasons import REFUSALS
from mailrotate.core.values.states import ConnectionState, ReplyClass, Who

# The bounds of the pause between two tries of an unreachable server, which grows with the outage; for an
# inbox, the bounds are the shorter one and the plan's interval.
_SHORTEST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=15)
_LIMIT_PAUSE = timedelta(hours=1)
# A login that works is the proof that these are over.
_PASSING = (ReplyClass.NET, ReplyClass.RETRY)


@dataclass(frozen=True)
class TestResult:
    """The steps of a connection test, and the resulting state."""

    address: str
    state: ConnectionState
    steps: Sequence[CheckStep]

    @property
    def passed(self) -> bool:
        return all(step.passed for step in self.steps)


def note_trouble(
    connection: Connection, box: SendingMailbox, verdict: ReplyVerdict, reply: ServerReply, now: datetime
) -> None:
    """Record a trouble of the mailbox: hold it or fail it, in the caller's transaction."""
    said = _words(reply)
    if verdict.reply_class not in _PASSING and box.health.trouble_since is not None:
        # A server that refuses is there again.
        _end_outage(connection, box.id)
    if verdict.reply_class is ReplyClass.AUTH:
        fail_by_verdict(connection, box, verdict.reply_class, said, now)
    elif verdict.reply_class is ReplyClass.NET:
        _note_unreachable(connection, box, said, now)
        _rest(connection, box, said, now)
    elif verdict.reply_class is ReplyClass.LIMIT:
        until = next_whole_second(now + (verdict.hold_for or _LIMIT_PAUSE))
        for mailbox_id in _concerned(connection, box, verdict.who):
            _hold(connection, mailbox_id, verdict.reply_class, said, until, now)
    elif verdict.reply_class is ReplyClass.SENDER:
        _hold(connection, box.id, verdict.reply_class, said, None, now)
    else:
        # A temporary answer before there was a message: the server is there, but not now.
        _hold(connection, box.id, verdict.reply_class, said, next_whole_second(now + _SHORTEST_PAUSE), now)


def note_refusal(connection: Connection, box: StoredMailbox, now: datetime) -> None:
    """Hold the mailbox when refusals in a row look like its own trouble, until a person has looked (F4)."""
    released_at = connections.health_of(connection, box.id).released_at
    run = refusals.in_a_row(connection, box.id, released_at)
    said = suspicion([refusal.to_address for refusal in run])
    if said is not None:
        _hold(connection, box.id, REFUSALS, said, None, now)


def fail_by_verdict(
    connection: Connection, box: SendingMailbox, reply_class: ReplyClass, said: str, now: datetime
) -> None:
    """Fail a mailbox after a login, unless its lane was lost meanwhile: the login may have been renewed
    there, and the new one is not failed by the old (C1)."""
    if lanes.was_taken_since(connection, box.id, box.lane_token):
        events.record(connection, RUNNER, "mailbox.outdated_verdict", now, About(box.id), reply=said)
    else:
        fail(connection, box, reply_class, said, now)


def fail(
    connection: Connection, box: StoredMailbox, reply_class: ReplyClass, said: str, now: datetime
) -> None:
    """Fail a mailbox until a user signs in again; pause campaigns that cannot continue."""
    if moves.move(
        connection,
        CONNECTION["fail"],
        box.connection_id,
        failed_at=now,
        last_error_class=reply_class,
        last_error=said,
    ):
        events.record(
            connection, RUNNER, "mailbox.failed", now, About(box.id), error_class=reply_class, reply=said
        )
        affected_campaigns.lose(connection, mailboxes.by_id(connection, box.id), said, now)


def recover(connection: Connection, box: StoredMailbox, now: datetime) -> None:
    """End all recorded trouble of a mailbox's connection, because a login worked.

    Where its server was away, that is over for the others of the same server too.
    """
    before = connections.health_of(connection, box.id)
    failed_at = before.failed_at
    moves.move(
        connection,
        CONNECTION["recover"],
        box.connection_id,
        trouble_since=None,
        failed_at=None,
        last_error_class=None,
        last_error=None,
    )
    if box.state is ConnectionState.FAILED:
        # Lateness does not count while it was away (H4).
        mailboxes.change_connection(connection, box.connection_id, connected_at=now)
        told = {} if failed_at is None else {"failed_at": rfc3339(failed_at)}
        events.record(connection, RUNNER, "mailbox.recovered", now, About(box.id), **told)
        affected_campaigns.regain(connection, box, now)
    if before.hold_class in _PASSING:
        mailboxes.end_hold(connection, box.id)
    if before.trouble_since is not None:
        _end_outage(connection, box.id)


def _end_outage(connection: Connection, mailbox_id: int) -> None:
    """End the outage of a mailbox's server for the others: the next pass tries them."""
    for other in mailboxes.missing_the_server_of(connection, mailbox_id):
        known = {"trouble_since": None, "last_error_class": None, "last_error": None}
        mailboxes.change_connection(connection, other.connection_id, **known)
        if connections.health_of(connection, other.id).hold_class == ReplyClass.NET:
            mailboxes.end_hold(connection, other.id)


def is_in_doubt(box: SendingMailbox) -> bool:
    """Whether a trouble was noted that a login proves over."""
    noted = box.health.trouble_since is not None or box.health.last_error is not None
    return noted or box.health.hold_class in _PASSING


def test(context: Context, lane: Lane, now: datetime) -> TestResult:
    """Log in to both servers by the path that sending takes, and record what that shows (C1)."""
    with context.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, lane.mailbox_id)
    steps = logins.check(context, box.id, now)
    failed = next((step for step in steps if not step.passed), None)
    with acting(context, now) as (connection, now):
        mailboxes.change_connection(connection, box.connection_id, last_test_at=now)
        if failed is None:
            recover(connection, box, now)
            inboxes.forget_failure(connection, box.id)
        elif failed.reply is not None:
            verdict = classify(failed.reply, box.provider)
            if failed.service != "imap" or verdict.reply_class is ReplyClass.AUTH:
                note_trouble(connection, box, verdict, failed.reply, now)
            elif verdict.reply_class is ReplyClass.NET:
                _note_only_inbox_unreachable(connection, box, _words(failed.reply), now)
            mailboxes.change_connection(
                connection,
                box.connection_id,
                last_error_class=verdict.reply_class,
                last_error=_words(failed.reply),
            )
        state = mailboxes.by_id(connection, box.id).state
    return TestResult(box.address, state, steps)


def note_unreadable(connection: Connection, box: SendingMailbox, said: str, now: datetime) -> None:
    """Record an unreadable inbox. Only follow-ups wait, behind the gate `inbox` (H5)."""
    next_try_at = _after_pause(box.inbox.failing_since, now, box.settings.sync_every)
    inboxes.note_failure(connection, box.id, INBOX, said, now, next_try_at)
    if box.inbox.failing_since is None:
        events.record(connection, RUNNER, "inbox.unreadable", now, About(box.id), reply=said)


def _note_only_inbox_unreachable(
    connection: Connection, box: SendingMailbox, said: str, now: datetime
) -> None:
    """The other server has just answered, so that it is not this machine's own trouble (C2)."""
    note_unreadable(connection, box, said, now)
    since = box.inbox.failing_since
    if since is not None and now - since >= periods.period(connection, "network_patience"):
        fail_by_verdict(connection, box, ReplyClass.NET, said, now)


def _note_unreachable(connection: Connection, box: SendingMailbox, said: str, now: datetime) -> None:
    """A network error fails the mailbox once it has lasted; this takes longer while offline (C2)."""
    since = box.health.trouble_since or now
    mailboxes.change_connection(
        connection,
        box.connection_id,
        trouble_since=since,
        last_error_class=ReplyClass.NET,
        last_error=said,
    )
    patience = patience_for(
        _offline(connection, box, since),
        periods.period(connection, "network_patience"),
        periods.period(connection, "offline_patience"),
    )
    if now - since >= patience:
        fail_by_verdict(connection, box, ReplyClass.NET, said, now)


def _rest(connection: Connection, box: SendingMailbox, said: str, now: datetime) -> None:
    """Pause between tries for as long as the server has been unreachable, unless the mailbox failed."""
    if mailboxes.by_id(connection, box.id).state is ConnectionState.FAILED:
        return
    until = _after_pause(box.health.trouble_since, now, _LONGEST_PAUSE)
    _hold(connection, box.id, ReplyClass.NET, said, until, now)


def _after_pause(since: datetime | None, now: datetime, longest: timedelta) -> datetime:
    return next_whole_second(now + min(max(now - (since or now), _SHORTEST_PAUSE), longest))


def _offline(connection: Connection, box: SendingMailbox, since: datetime) -> bool:
    """Whether no provider was reached since the trouble began, so that this machine is probably offline."""
    host = connections.login_of(connection, box.id).smtp.host
    return not mailboxes.others_reached_since(connection, host, since)


def _concerned(connection: Connection, box: StoredMailbox, who: Who) -> list[int]:
    if who is not Who.TENANT:
        return [box.id]
    domain = domain_of(box.address)
    return [other.id for other in mailboxes.listing(connection) if domain_of(other.address) == domain]


def _hold(
    connection: Connection,
    mailbox_id: int,
    hold_class: str,
    said: str,
    until: datetime | None,
    now: datetime,
) -> None:
    """Put the mailbox on hold, unless a stricter hold is active; a hold is never shortened.

    A hold for a passing trouble means less than one for a limit or a refusal: a login that works ends it.
    """
    held = connections.health_of(connection, mailbox_id)
    if held.hold_reason is not None and held.hold_class not in _PASSING:
        is_shorter = held.hold_until is None or (until is not None and until <= held.hold_until)
        is_over = held.hold_until is not None and held.hold_until <= now
        if not is_over and (is_shorter or hold_class in _PASSING):
            return
    mailboxes.change(connection, mailbox_id, hold_class=hold_class, hold_reason=said, hold_until=until)
    events.record(
        connection,
        RUNNER,
        "mailbox.held",
        now,
        About(mailbox_id),
        error_class=hold_class,
        reply=said,
        until=None if until is None else until.isoformat(),
    )


def _words(reply: ServerReply) -> str:
    code = "" if reply.code is None else f"{reply.code} "
    return f"{reply.phase}: {code}{reply.text}"


def due_for_test(connection: Connection, now: datetime, every: timedelta) -> list[int]:
    """Mailboxes whose connection is due for a test."""
    return mailboxes.not_tested_since(connection, now - every, now)
