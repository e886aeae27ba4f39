"""F4, C2: which hold of a mailbox gives way to which."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import select

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules.replies import classify
from mailrotate.core.services.campaigns import campaign_views
from mailrotate.core.services.context import Context, secret_name
from mailrotate.core.services.mailboxes import grace_extension
from mailrotate.core.services.sending import health
from mailrotate.core.services.views import outbox_actions
from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import inboxes, sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.mail import INBOX, CheckStep, FolderCursor, ServerReply
from mailrotate.core.values.reasons import MAILBOX_FAILED
from mailrotate.core.values.states import ConnectionState, MessageState, Phase, ReplyClass
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

SOON = NOW + timedelta(minutes=5)
QUOTA = ServerReply(Phase.MAIL, 550, "5.4.5", "Daily user sending limit exceeded")
GONE = ServerReply(Phase.CONNECT, None, None, "connection refused")
REFUSED = ServerReply(Phase.MAIL, 550, "5.7.1", "sender denied")


class HalfAway:
    """A provider whose outgoing server answers; `is_back`: the other one, too."""

    is_back = False

    def check(self, _account: object) -> list[CheckStep]:
        reply = None if self.is_back else GONE
        return [
            CheckStep("smtp", Phase.AUTH, True, "welcome"),
            CheckStep("imap", Phase.CONNECT, self.is_back, "", reply),
        ]


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org", provider="google")


def logging_in_by(provider: HalfAway, workspace: Workspace, anna: Sender) -> Context:
    context = replace(context_of(workspace), provider=lambda _name: cast(MailProvider, provider))
    sealed = context.secrets.seal(secret_name(anna.connection_id), 1, b"secret")
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, anna.connection_id, secret=sealed)
    return context


def note(
    workspace: Workspace,
    anna: Sender,
    reply: ServerReply,
    now: datetime,
    reply_class: ReplyClass | None = None,
    hold_for: timedelta | None = None,
) -> SendingMailbox:
    with workspace.store.writing() as connection:
        verdict = classify(reply, "google")
        if reply_class is not None:
            verdict = replace(verdict, reply_class=reply_class, hold_for=hold_for)
        health.note_trouble(connection, sending_mailboxes.by_id(connection, anna.id), verdict, reply, now)
        return sending_mailboxes.by_id(connection, anna.id)


def test_f4_a_server_that_is_away_for_a_while_does_not_end_a_hold_for_a_limit(
    workspace: Workspace, anna: Sender
) -> None:
    """Else the mailbox would send again as soon as the server answers, with its quota used up."""
    limited = note(workspace, anna, QUOTA, NOW)
    assert limited.health.hold_class == "limit"
    away = note(workspace, anna, GONE, SOON)
    assert (away.health.hold_class, away.health.hold_until) == ("limit", limited.health.hold_until)
    with workspace.store.writing() as connection:
        health.recover(connection, away, SOON)
        assert sending_mailboxes.by_id(connection, anna.id).health.hold_until == limited.health.hold_until


def test_f4_of_two_limits_the_longer_holds(workspace: Workspace, anna: Sender) -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    note(workspace, anna, QUOTA, NOW, ReplyClass.LIMIT, day)
    held = note(workspace, anna, QUOTA, SOON, ReplyClass.LIMIT, hour)
    assert held.health.hold_until is not None
    assert held.health.hold_until >= NOW + day
    longer = note(workspace, anna, QUOTA, SOON + hour, ReplyClass.LIMIT, day)
    assert longer.health.hold_until is not None
    assert longer.health.hold_until >= SOON + hour + day


def test_f4_a_refusal_of_the_sender_holds_until_a_person_releases_it(
    workspace: Workspace, anna: Sender
) -> None:
    note(workspace, anna, QUOTA, NOW)
    for reply, kind in ((REFUSED, ReplyClass.SENDER), (QUOTA, None), (GONE, None)):
        held = note(workspace, anna, reply, SOON, kind)
        assert (held.health.hold_class, held.health.hold_until) == ("sender", None)


@pytest.mark.parametrize("reply", [QUOTA, ServerReply(Phase.AUTH, 451, "4.3.0", "try later")])
def test_c2_a_limit_or_a_passing_refusal_holds_a_mailbox_and_does_not_fail_it(
    workspace: Workspace, anna: Sender, reply: ServerReply
) -> None:
    held = note(workspace, anna, reply, NOW)
    assert held.state is ConnectionState.CONNECTED
    assert held.health.hold_until is not None
    assert held.health.hold_until > NOW


def test_c2_a_passing_hold_gives_way_and_ends_with_a_login(workspace: Workspace, anna: Sender) -> None:
    away = note(workspace, anna, GONE, NOW)
    assert away.health.hold_class == "net"
    with workspace.store.writing() as connection:
        health.recover(connection, away, SOON)
        assert sending_mailboxes.by_id(connection, anna.id).health.hold_reason is None
    note(workspace, anna, GONE, NOW)
    assert note(workspace, anna, QUOTA, NOW).health.hold_class == "limit"
    with workspace.store.writing() as connection:
        health.recover(connection, sending_mailboxes.by_id(connection, anna.id), SOON)
    # A hold that is over holds nothing back any more.
    assert note(workspace, anna, GONE, NOW + timedelta(days=2)).health.hold_class == "net"


def test_f4_a_server_that_is_back_for_one_mailbox_is_back_for_the_others(
    workspace: Workspace, anna: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    elsewhere = workspace.add_mailbox("clara@example.org")
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, elsewhere.connection_id, smtp_port=2525)
    limited = workspace.add_mailbox("dora@example.org")
    note(workspace, limited, QUOTA, NOW)
    for box in (anna, ben, elsewhere, limited):
        note(workspace, box, GONE, NOW)
    with workspace.store.writing() as connection:
        health.recover(connection, sending_mailboxes.by_id(connection, anna.id), SOON)
    with workspace.store.reading() as connection:
        found = sending_mailboxes.by_ids(connection, [ben.id, elsewhere.id, limited.id])
    assert {box.address: (box.health.trouble_since, box.health.hold_class) for box in found} == {
        "ben@example.org": (None, None),
        "clara@example.org": (NOW, "net"),
        "dora@example.org": (None, "limit"),
    }


def test_f4_a_server_that_refuses_a_login_after_an_outage_is_back_for_the_others(
    workspace: Workspace, anna: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    for box in (anna, ben):
        note(workspace, box, GONE, NOW)
    note(workspace, anna, ServerReply(Phase.AUTH, 535, "5.7.8", "wrong password"), SOON)
    with workspace.store.reading() as connection:
        assert sending_mailboxes.by_id(connection, ben.id).health.trouble_since is None


def test_f4_a_login_that_proves_nothing_new_ends_no_trouble_of_others(
    workspace: Workspace, anna: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    note(workspace, ben, GONE, NOW)
    with workspace.store.writing() as connection:
        health.recover(connection, sending_mailboxes.by_id(connection, anna.id), SOON)
        assert sending_mailboxes.by_id(connection, ben.id).health.trouble_since == NOW


def test_f4_nobody_tests_a_login_while_a_limit_holds_the_mailbox(workspace: Workspace, anna: Sender) -> None:
    """It may be the limit of logins: one more try begins its hour anew."""
    too_many = ServerReply(Phase.AUTH, 454, "4.7.0", "Too many login attempts, please try again later.")
    held = note(workspace, anna, too_many, NOW)
    assert held.health.hold_class == "limit"
    assert held.health.hold_until is not None
    every = timedelta(minutes=15)
    with workspace.store.reading() as connection:
        assert health.due_for_test(connection, SOON, every) == []
        assert health.due_for_test(connection, held.health.hold_until, every) == [anna.id]


@pytest.mark.parametrize(("is_other_reached", "at_last"), [(True, "failed"), (False, "connected")])
def test_c2_a_server_out_of_reach_for_half_an_hour_fails_its_mailbox_unless_this_machine_is_offline(
    workspace: Workspace, anna: Sender, is_other_reached: bool, at_last: str
) -> None:
    ben = workspace.add_mailbox("ben@example.net", smtp_host="smtp.example.net")
    if is_other_reached:
        with workspace.store.writing() as connection:
            inboxes.note_read(connection, ben.id, INBOX, FolderCursor(1, 0), NOW + timedelta(minutes=10))
    found = [note(workspace, anna, GONE, NOW + timedelta(minutes=minutes)).state for minutes in (0, 29, 30)]
    assert found == ["connected", "connected", at_last]


def test_c2_a_machine_that_is_offline_for_exactly_a_day_fails_its_mailboxes(
    workspace: Workspace, anna: Sender
) -> None:
    day, second = timedelta(days=1), timedelta(seconds=1)
    found = [note(workspace, anna, GONE, NOW + lasted).state for lasted in (timedelta(), day - second, day)]
    assert found == ["connected", "connected", "failed"]


def test_c2_an_inbox_that_stays_unreachable_fails_a_mailbox_that_still_sends(
    workspace: Workspace, anna: Sender
) -> None:
    """Each message that leaves proves the other server; nobody would hear of the replies."""
    provider = HalfAway()
    context = logging_in_by(provider, workspace, anna)
    lane = workspace.own_lane(anna, workspace.add_runner())

    def test_after(minutes: int) -> str:
        now = NOW + timedelta(minutes=minutes)
        state = health.test(context, lane, now).state
        with workspace.store.writing() as connection:
            box = mailboxes.by_id(connection, anna.id)
            if box.state is ConnectionState.CONNECTED:
                # What a login to send does.
                health.recover(connection, box, now)
        return state

    assert [test_after(minutes) for minutes in (0, 15, 29, 30)] == ["connected"] * 3 + ["failed"]
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.connection.c.last_error_class)).scalar_one() == "net"
    provider.is_back = True
    assert test_after(45) == "connected"
    with workspace.store.reading() as connection:
        assert sending_mailboxes.by_id(connection, anna.id).inbox.failing_since is None


def test_c2_a_failed_mailbox_that_passes_a_test_counts_as_reconnected_but_nothing_is_resumed(
    workspace: Workspace, anna: Sender
) -> None:
    provider = HalfAway()
    provider.is_back = True
    context = logging_in_by(provider, workspace, anna)
    rotated = workspace.add_campaign("rotated", [anna, workspace.add_mailbox("ben@example.org")])
    person = workspace.add_recipient(rotated, "kim@example.com", sender_id=workspace.senders(rotated)[0])
    message_id = workspace.add_message(anna, rotated, person)
    workspace.add_campaign("single", [anna], rotates=False)
    with workspace.store.writing() as connection:
        box = mailboxes.by_id(connection, anna.id)
        health.fail(connection, box, ReplyClass.AUTH, "535 no", NOW)
        assert anna.id in health.due_for_test(connection, SOON, timedelta(minutes=5))
    assert [one.deadline.campaign for one in grace_extension.listing(context, SOON)] == ["rotated"]
    lane = workspace.own_lane(anna, workspace.add_runner())
    assert health.test(context, lane, SOON).state is ConnectionState.CONNECTED
    assert grace_extension.listing(context, SOON) == []
    assert outbox_actions.show(context, message_id, SOON).expected.message.state is MessageState.SCHEDULED
    assert campaign_views.show(context, "single", SOON).pause_reasons == (MAILBOX_FAILED,)


def test_f4_a_login_that_works_ends_a_passing_refusal(workspace: Workspace) -> None:
    """So that `status` names a server until a success, also after its hold."""
    anna = workspace.add_mailbox("anna@example.org")

    def box() -> SendingMailbox:
        with workspace.store.reading() as connection:
            return sending_mailboxes.by_id(connection, anna.id)

    assert not health.is_in_doubt(box())
    with workspace.store.writing() as connection:
        over = {"hold_class": "retry", "hold_reason": "421 later", "hold_until": NOW - timedelta(minutes=1)}
        mailboxes.change(connection, anna.id, **over)
    assert health.is_in_doubt(box())
    with workspace.store.writing() as connection:
        health.recover(connection, box(), NOW)
    assert not health.is_in_doubt(box())
