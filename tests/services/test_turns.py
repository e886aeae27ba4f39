"""What happens in a lane between claim, mark and settle, with a server that does what a test wants then."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules.quota import gap_after, midnight_after
from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.campaigns import campaign_life
from mailrotate.core.services.context import Context, secret_name
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.mailboxes import connecting, mailbox_removal, plan_changes
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.running import passes
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.store import senders
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import RUNNER
from mailrotate.core.store.sending import claims, inboxes
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.mail import Endpoint, Envelope, MailTrouble, ServerGuess, ServerReply
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase, Security, SuppressionKind
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(hours=1)


@dataclass
class Server(Inbox):
    """A mail server that takes everything; `while_staging` is called when a message is there but its dot."""

    while_staging: Callable[[], None] = lambda: None
    taken: list[str] = field(default_factory=list)
    inbox: list[bytes] = field(default_factory=list)
    usable: bool = True
    logins: int = 0
    connections: int = 0
    _staged: Envelope | None = None

    def open_sender(self, _account: object) -> "Server":
        self.usable = True
        self.connections += 1
        return self

    def open_inbox(self, _account: object) -> "Server":
        self.logins += 1
        return self

    def stage(self, envelope: Envelope) -> None:
        self._staged = envelope
        self.while_staging()

    def commit(self) -> ServerReply:
        assert self._staged is not None
        self.taken += self._staged.recipients
        return ServerReply(Phase.DOT, 250, None, "taken")

    def abandon(self) -> None:
        self.usable, self._staged = False, None


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org", gap_seconds=0)


@pytest.fixture
def campaign(workspace: Workspace, anna: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [anna])


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def context(workspace: Workspace, anna: Sender, server: Server) -> Context:
    context = replace(context_of(workspace), provider=lambda _name: cast(MailProvider, server))
    sealed = context.secrets.seal(secret_name(anna.connection_id), 1, b"secret")
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(secret=sealed))
    return context


def enrol(workspace: Workspace, campaign: StoredCampaign, *addresses: str) -> list[int]:
    sender_id = workspace.senders(campaign)[0]
    return [
        workspace.add_recipient(campaign, address, sender_id=sender_id, next_at=NOW) for address in addresses
    ]


def work(context: Context, mailbox_id: int, runner_id: int, now: datetime = NOW) -> dict[str, int]:
    pace = Pace(clock=lambda: now, wait=lambda _seconds: True, stopping=lambda: False)
    return dict(passes.work_lane(context, runner_id, mailbox_id, pace, passes.Work.SEND))


def states(workspace: Workspace) -> list[str]:
    with workspace.store.reading() as connection:
        return list(connection.execute(select(t.message.c.state).order_by(t.message.c.id)).scalars())


def end_by_reply(context: Context, recipient_id: int) -> None:
    with context.store.writing() as connection:
        lifecycle.end_recipients(connection, RUNNER, [recipient_id], RECIPIENT["replied"], "reply", NOW)


def suppress(context: Context, _recipient_id: int) -> None:
    with context.store.writing() as connection:
        lifecycle.suppress(
            connection,
            RUNNER,
            SuppressionKind.ADDRESS,
            "kim@example.com",
            reason="unsubscribed",
            source="test",
            now=NOW,
        )


def stop(context: Context, _recipient_id: int) -> None:
    campaign_life.stop(context, "autumn", NOW)


@pytest.mark.parametrize("end", [end_by_reply, suppress, stop])
def test_d6_whoever_ends_between_claim_and_dot_gets_nothing(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    end: Callable[[Context, int], None],
) -> None:
    """The lane goes on with the next person; what was claimed is cancelled and counts for no limit."""
    (kim,) = enrol(workspace, campaign, "kim@example.com")
    server.while_staging = lambda: end(context, kim)
    assert "sent" not in work(context, anna.id, workspace.add_runner())
    assert server.taken == []
    assert states(workspace) == ["cancelled"]


def test_d6_one_who_ended_meanwhile_keeps_nobody_else_waiting(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    kim, _ = enrol(workspace, campaign, "kim@example.com", "lee@example.com")
    server.while_staging = lambda: end_by_reply(context, kim)
    assert work(context, anna.id, workspace.add_runner())["sent"] == 1
    assert server.taken == ["lee@example.com"]


def test_c15_a_message_that_comes_back_to_somebody_who_ended_is_cancelled(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    """D3: nothing is left waiting in a campaign that was stopped while the server put us off."""
    enrol(workspace, campaign, "kim@example.com")

    def put_off() -> None:
        campaign_life.stop(context, "autumn", NOW)
        raise MailTrouble(ServerReply(Phase.RCPT, 451, "4.7.1", "greylisted"))

    server.while_staging = put_off
    work(context, anna.id, workspace.add_runner())
    assert states(workspace) == ["cancelled"]


def test_f3_a_message_whose_mark_the_database_refused_goes_on_although_its_runner_lives(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that was full between claim and mark strands nobody until the runner ends."""
    enrol(workspace, campaign, "kim@example.com")
    runner_id = workspace.add_runner()

    def refuse(*_anything: Any) -> bool:
        raise Busy("store.locked", "another process holds it")

    with monkeypatch.context() as patched:
        patched.setattr(claims, "mark", refuse)
        patched.setattr(settling, "put_back", refuse)
        with pytest.raises(Busy):
            work(context, anna.id, runner_id)
    assert (states(workspace), server.taken) == (["sending"], [])
    assert work(context, anna.id, runner_id, LATER)["sent"] == 1
    assert server.taken == ["kim@example.com"]


def test_f3_what_was_marked_and_never_settled_is_held_when_the_lane_is_next_taken(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enrol(workspace, campaign, "kim@example.com")
    runner_id = workspace.add_runner()
    with monkeypatch.context() as patched:
        patched.setattr(senders, "note_turn", lambda *_anything: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            work(context, anna.id, runner_id)
    assert states(workspace) == ["sending"]
    assert "sent" not in work(context, anna.id, runner_id, LATER)
    assert (states(workspace), server.taken) == (["held"], ["kim@example.com"])


@pytest.mark.parametrize("closed_by", ["limit", "window"])
def test_b10_mail_that_may_not_leave_now_makes_nobody_log_in_at_every_tick(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    closed_by: str,
) -> None:
    """H5 needs the inbox before a message leaves; until one may, it is read as often as the plan says."""
    enrol(workspace, campaign, "kim@example.com", "lee@example.com")
    with workspace.store.writing() as connection:
        if closed_by == "limit":
            connection.execute(update(t.connection).values(daily_limit=1, sent_copy="off"))
        else:
            window = {"blocks": [{"days": "sat,sun", "hours": "09:00-17:00"}]}
            connection.execute(update(t.campaign_version).values(window=json.dumps(window)))
    runner_id = workspace.add_runner()
    for minute in range(8):
        work(context, anna.id, runner_id, NOW + timedelta(minutes=minute))
    assert server.taken == (["kim@example.com"] if closed_by == "limit" else [])
    assert server.logins == 2, "at once, and five minutes later"
    assert states(workspace).count("scheduled") == (1 if closed_by == "limit" else 2)


def test_h5_an_inbox_that_cannot_be_read_is_tried_ever_more_rarely(
    workspace: Workspace, anna: Sender, server: Server, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as long as it has failed: 30 seconds at least, the plan's interval at most."""
    tries: list[int] = []
    is_away = True

    def open_inbox(_account: object) -> Server:
        tries.append(seconds)
        if is_away:
            raise MailTrouble(ServerReply(Phase.CONNECT, None, None, "no route"))
        return server

    monkeypatch.setattr(server, "open_inbox", open_inbox)
    runner_id = workspace.add_runner()
    for seconds in range(0, 1500, 10):
        is_away = seconds < 1000
        now = NOW + timedelta(seconds=seconds)
        if anna.id in passes.lanes_due(context, now, passes.Work.SYNC):
            work(context, anna.id, runner_id, now)
    # A pause ends at a whole second, a moment after the look of every ten seconds; from 1010 on it is read.
    assert tries == [0, 40, 90, 190, 390, 700, 1010, 1310]


def test_h5_first_messages_leave_without_a_try_of_an_inbox_that_is_left_alone(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    with workspace.store.writing() as connection:
        inboxes.note_failure(connection, anna.id, "INBOX", "no route", NOW, next_try_at=LATER)
    enrol(workspace, campaign, "kim@example.com")
    assert work(context, anna.id, workspace.add_runner())["sent"] == 1
    assert server.logins == 0


@pytest.mark.parametrize("ended_by", [421, None], ids=["421", "a broken connection"])
def test_f4_a_connection_that_ends_under_the_next_message_costs_it_no_try(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    ended_by: int | None,
) -> None:
    """Amazon SES takes 100 messages over one connection: the next goes over a new one at once."""
    enrol(workspace, campaign, "kim@example.com", "lee@example.com")

    def end_the_second() -> None:
        if server.taken and server.connections == 1:
            server.usable = False
            raise MailTrouble(ServerReply(Phase.MAIL, ended_by, None, "too many messages on this connection"))

    server.while_staging = end_the_second
    assert work(context, anna.id, workspace.add_runner())["sent"] == 2
    assert (server.taken, server.connections) == (["kim@example.com", "lee@example.com"], 2)
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.message.c.attempts)).scalars().all() == [1, 1]


def test_f4_a_421_on_a_new_connection_is_an_answer(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    enrol(workspace, campaign, "kim@example.com")

    def refuse() -> None:
        server.usable = False
        raise MailTrouble(ServerReply(Phase.MAIL, 421, "4.3.0", "not now"))

    server.while_staging = refuse
    work(context, anna.id, workspace.add_runner())
    assert (server.connections, states(workspace)) == (1, ["scheduled"])


def test_f3_a_fate_that_another_runner_has_recorded_is_not_logged_again(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, context: Context
) -> None:
    """Two runners that both believe a message theirs: the log says once that it is held."""
    workspace.add_message(anna, campaign, workspace.add_recipient(campaign, "kim@example.com"))
    lane = workspace.own_lane(anna, workspace.add_runner())
    claimed = Claims(context, lane).next(NOW)
    assert isinstance(claimed, Claim)
    silence = ServerReply(Phase.DOT, None, None, "timed out")
    first, second = (settling.settle_unknown(context, claimed, silence, NOW) for _ in range(2))
    assert (first.state, second.state) == ("held", "scheduled")
    assert states(workspace) == ["held"]
    with workspace.store.reading() as connection:
        logged = connection.execute(select(t.event.c.id).where(t.event.c.action == "message.held")).all()
    assert len(logged) == 1


def test_b3_f3_a_mailbox_keeps_its_gap_after_a_crash_past_the_mark(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    server: Server,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first message has left, although no answer was recorded; the second one still waits."""
    gap = timedelta(minutes=10)
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(gap_seconds=gap.total_seconds()))
    enrol(workspace, campaign, "kim@example.com", "lee@example.com")
    with monkeypatch.context() as patched:
        patched.setattr(settling, "settle_sent", lambda *_anything: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            work(context, anna.id, workspace.add_runner())
    with workspace.store.reading() as connection:
        token = connection.execute(select(t.message.c.token).order_by(t.message.c.id).limit(1)).scalar_one()
    over = NOW + gap_after(token, gap)
    work(context, anna.id, workspace.add_runner(), over - timedelta(seconds=1))
    assert (server.taken, states(workspace)) == (["kim@example.com"], ["held", "scheduled"])
    work(context, anna.id, workspace.add_runner(), over + timedelta(seconds=1))
    assert server.taken == ["kim@example.com", "lee@example.com"]


def test_e4_the_campaigns_of_a_mailbox_take_turns(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    enrol(workspace, campaign, *(f"kim@autumn{number}.example.com" for number in range(3)))
    enrol(
        workspace,
        workspace.add_campaign("winter", [anna]),
        *(f"kim@winter{number}.example.com" for number in range(3)),
    )
    seconds = count()
    pace = Pace(lambda: NOW + timedelta(seconds=next(seconds)), lambda _seconds: True, lambda: False)
    passes.work_lane(context, workspace.add_runner(), anna.id, pace, passes.Work.SEND)
    assert server.taken == [
        f"kim@{name}{number}.example.com" for number in range(3) for name in ("autumn", "winter")
    ]


def test_b4_another_mailbox_in_the_slot_gets_no_second_allowance_that_day(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, server: Server, context: Context
) -> None:
    """The plan's cap counts messages by slot, those of a removed address included."""
    plan_changes.change(context, PlanChange(daily_cap=2), NOW)
    enrol(workspace, campaign, "kim@example.com", "lee@example.com", "mia@example.com")
    assert work(context, anna.id, workspace.add_runner())["sent"] == 2
    mailbox_removal.remove(context, anna.address, now=LATER)
    server_of_ben = Endpoint("mail.example.org", 465, Security.TLS)
    new = NewConnection(
        "ben@example.org",
        ServerGuess("imap", server_of_ben, server_of_ben, "flags"),
        Password(Secret("not to be guessed")),
        {"gap": "0s"},
        slot_id=anna.slot_id,
    )
    connected = connecting.connect(context, new, LATER)
    ben = Sender(connected.mailbox_id, connected.address, connected.slot_id, 0)
    enrol(workspace, workspace.add_campaign("winter", [ben]), "nia@example.com")
    midnight = midnight_after(NOW, "Europe/Berlin")
    for now in (LATER, midnight - timedelta(seconds=1)):
        assert "sent" not in work(context, ben.id, workspace.add_runner(), now)
    assert server.taken == ["kim@example.com", "lee@example.com"]
    assert work(context, ben.id, workspace.add_runner(), midnight)["sent"] == 1
