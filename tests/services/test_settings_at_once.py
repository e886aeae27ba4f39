"""Settings that are changed while somebody else changes them, or sends, on both databases (B3, B7)."""

import email
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Barrier
from typing import cast

import pytest

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules import quota
from mailrotate.core.services.context import Context, account_of, secret_name
from mailrotate.core.services.mailboxes import mailbox_settings, signature_editing
from mailrotate.core.services.mailboxes.reconnecting import LoginChange
from mailrotate.core.services.running import passes
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.store import connections, events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.sending import lanes, liveness, sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.credential import Password
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.mail import CheckStep, Envelope, MailAccount, ServerReply
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
from tests.support.rows import NOW, Sender, Workspace

ANNA = "anna@example.org"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def nothing() -> None:
    """What happens where no test says what."""


@dataclass
class Server(Inbox):
    """A mail server that takes every login and message; a test acts while it is being spoken to."""

    at_login: Callable[[], None] = nothing
    while_staging: Callable[[], None] = nothing
    at_dot: Callable[[], None] = nothing
    taken: list[bytes] = field(default_factory=list)
    inbox: list[bytes] = field(default_factory=list)
    usable: bool = True

    def check(self, _account: MailAccount) -> list[CheckStep]:
        self.at_login()
        return [CheckStep(service, Phase.AUTH, True, "ok") for service in ("smtp", "imap")]

    def open_sender(self, _account: object) -> "Server":
        return self

    def open_inbox(self, _account: object) -> "Server":
        return self

    def stage(self, envelope: Envelope) -> None:
        self.taken.append(envelope.raw)
        self.while_staging()

    def commit(self) -> ServerReply:
        self.at_dot()
        return ServerReply(Phase.DOT, 250, None, "taken")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox(ANNA, gap_seconds=0)


@pytest.fixture
def context(workspace: Workspace, anna: Sender, server: Server) -> Context:
    context = replace(context_of(workspace), provider=lambda _name: cast(MailProvider, server))
    sealed = context.secrets.seal(secret_name(anna.connection_id), 1, b"secret")
    with workspace.store.writing() as connection:
        stored.change_connection(connection, anna.connection_id, secret=sealed)
    return context


def box_of(context: Context) -> SendingMailbox:
    with context.store.reading() as connection:
        found = stored.by_address(connection, ANNA)
        assert found is not None
        return sending_mailboxes.by_id(connection, found.id)


def login_of(context: Context) -> StoredLogin:
    with context.store.reading() as connection:
        return connections.login_of(connection, box_of(context).id)


def changes(context: Context) -> list[tuple[object, object, object]]:
    with context.store.reading() as connection:
        told = [event.data for event in events.listing(connection) if event.action == "mailbox.set"]
    return [(data["key"], data["before"], data["after"]) for data in told]


def plan(workspace: Workspace, anna: Sender, count: int) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    for number in range(count):
        person = workspace.add_recipient(campaign, f"p{number}@example.com")
        workspace.add_message(anna, campaign, person, to=f"p{number}@example.com")


def send(context: Context, anna: Sender) -> None:
    """What a runner does that is alive."""
    pace = Pace(clock=lambda: NOW, wait=lambda _seconds: True, stopping=lambda: False)
    runner = liveness.register(context.store, "run", NOW, "here")
    passes.work_lane(context, runner.id, anna.id, pace, passes.Work.SEND)
    runner.end(NOW)


def all_at_once(*verbs: Callable[[], object]) -> None:
    barrier = Barrier(len(verbs))

    def run(verb: Callable[[], object]) -> None:
        barrier.wait(30)
        verb()

    with ThreadPoolExecutor(len(verbs)) as pool:
        for running in [pool.submit(run, verb) for verb in verbs]:
            running.result(60)


def set_by(context: Context, **wanted: str) -> Callable[[], object]:
    return lambda: mailbox_settings.change(context, ANNA, wanted, NOW)


def test_b3_of_two_who_set_at_once_no_change_is_lost(context: Context, anna: Sender) -> None:
    all_at_once(
        set_by(context, daily_limit="7", sender_name="Anna A."),
        set_by(context, timezone="Asia/Tokyo", ramp="1,1,5"),
        set_by(context, gap="90s", name="first"),
        set_by(context, sent_copy="off"),
    )
    box = box_of(context)
    own = box.settings.own
    assert (own.daily_limit, own.sender_name, own.timezone) == (7, "Anna A.", "Asia/Tokyo")
    assert (str(own.ramp), own.gap, own.name, own.sent_copy) == ("1,1,5", 1.5 * MINUTE, "first", "off")
    assert len(changes(context)) == 7


def test_b3_of_two_who_set_the_same_the_log_tells_who_was_last(context: Context, anna: Sender) -> None:
    all_at_once(*(set_by(context, daily_limit=str(limit)) for limit in (10, 20, 30, 40)))
    told = changes(context)
    assert [before for _, before, _ in told] == [500, *(after for *_, after in told[:-1])]
    assert told[-1][2] == box_of(context).settings.own.daily_limit


def test_b3_b7_what_is_set_while_a_new_login_is_tested_stays_and_another_login_waits(
    context: Context, anna: Sender, server: Server
) -> None:
    refused: list[str] = []

    def meanwhile() -> None:
        mailbox_settings.change(context, ANNA, {"daily_limit": "7"}, NOW)
        try:
            other = LoginChange(credential=Password(Secret("other")))
            mailbox_settings.change(context, ANNA, {}, NOW, login=other)
        except Busy as busy:
            refused.append(busy.code)

    server.at_login = meanwhile
    new = LoginChange(credential=Password(Secret("new")))
    mailbox_settings.change(context, ANNA, {"gap": "90s"}, NOW, login=new)
    box = box_of(context)
    assert (box.settings.own.daily_limit, box.settings.own.gap, refused) == (7, 1.5 * MINUTE, ["lane.busy"])
    assert account_of(context, login_of(context)).credential == Password(Secret("new"))
    assert [key for key, *_ in changes(context)] == ["daily_limit", "gap", "password"]


def test_b3_the_message_being_sent_keeps_what_it_was_claimed_with_and_the_next_has_the_new(
    workspace: Workspace, context: Context, anna: Sender, server: Server
) -> None:
    plan(workspace, anna, 3)

    def meanwhile() -> None:
        server.while_staging = nothing
        mailbox_settings.change(context, ANNA, {"sender_name": "Anna A.", "daily_limit": "2"}, NOW)
        signature_editing.add(context, ANNA, "work", "Anna at work", NOW, main=True)

    server.while_staging = meanwhile
    send(context, anna)
    sent = [email.message_from_bytes(raw) for raw in server.taken]
    assert [mail["From"] for mail in sent] == [f"Ada Admin <{ANNA}>", f'"Anna A." <{ANNA}>']
    assert [b"Anna at work" in raw for raw in server.taken] == [False, True]


def test_b3_a_login_is_not_changed_under_whoever_sends(
    workspace: Workspace, context: Context, anna: Sender, server: Server
) -> None:
    plan(workspace, anna, 1)
    before, refused = login_of(context).secret, []

    def meanwhile() -> None:
        try:
            change = LoginChange(credential=Password(Secret("new")))
            mailbox_settings.change(context, ANNA, {"gap": "90s"}, NOW, login=change)
        except Busy as busy:
            refused.append(busy.code)

    server.while_staging = meanwhile
    send(context, anna)
    assert (len(server.taken), refused) == (1, ["lane.busy"])
    assert (login_of(context).secret, box_of(context).settings.own.gap) == (before, timedelta())


@pytest.mark.parametrize("moment", ["while_staging", "at_dot"])
@pytest.mark.parametrize(
    ("old", "new"), [(HOUR, MINUTE), (MINUTE, HOUR), (timedelta(), HOUR), (HOUR, timedelta())]
)
def test_b3_a_gap_that_is_set_while_a_message_is_sent_is_kept_before_the_next(
    workspace: Workspace,
    context: Context,
    anna: Sender,
    server: Server,
    moment: str,
    old: timedelta,
    new: timedelta,
) -> None:
    mailbox_settings.change(context, ANNA, {"gap": format_duration(old)}, NOW)
    plan(workspace, anna, 1)
    setattr(server, moment, set_by(context, gap=format_duration(new)))
    send(context, anna)
    assert kept_before_the_next(context, new)


@pytest.mark.parametrize(
    ("old", "new"), [(HOUR, MINUTE), (MINUTE, HOUR), (timedelta(), HOUR), (HOUR, timedelta())]
)
def test_b3_a_gap_that_is_set_between_two_messages_is_kept_before_the_next(
    workspace: Workspace, context: Context, anna: Sender, old: timedelta, new: timedelta
) -> None:
    """Counted from the message before, not from now: the old one may have run for a while."""
    mailbox_settings.change(context, ANNA, {"gap": format_duration(old)}, NOW)
    plan(workspace, anna, 1)
    send(context, anna)
    assert kept_before_the_next(context, old)
    mailbox_settings.change(context, ANNA, {"gap": format_duration(new)}, NOW + MINUTE)
    assert kept_before_the_next(context, new)


def kept_before_the_next(context: Context, gap: timedelta) -> bool:
    """Whether the mailbox rests for this gap after the message that was sent at NOW."""
    with context.store.reading() as connection:
        latest = lanes.last_message(connection, box_of(context).id)
    assert latest is not None
    token, left_at = latest
    assert left_at == NOW
    return box_of(context).next_send_at == quota.rest_until(NOW, token, gap)
