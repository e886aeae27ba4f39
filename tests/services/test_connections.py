"""The life of a connection, on both databases, against a real server on loopback."""

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select, update

from mailrotate.cli.hints import in_words
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context, account_of
from mailrotate.core.services.mailboxes import (
    connecting,
    login_tests,
    mailbox_settings,
    mailbox_views,
    reconnecting,
)
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.services.mailboxes.reconnecting import LoginChange
from mailrotate.core.services.sending import health
from mailrotate.core.store import campaigns, connections, events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values import reasons
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import NotFound, Refused, RemoteError
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.mail import CheckStep, Endpoint, MailAccount, ServerGuess
from mailrotate.core.values.own_settings import Given, OwnSettings
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import CampaignState, ConnectionState, ReplyClass, Role, Security
from mailrotate.providers.registry import provider_for
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.contexts import SHORT, KeyInMemory, context_of
from tests.support.recording_smtp import RecordingSmtp
from tests.support.rows import NOW, Sender, Workspace
from tests.support.tls import TlsAuthority

ANNA = "anna@sandbox.example.org"
LATER = NOW + timedelta(hours=1)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox() as sandbox:
        yield sandbox.info


def wanted(server: SandboxInfo, address: str = ANNA, **settings: str) -> NewConnection:
    servers = ServerGuess("imap", server.smtp, server.imap, "flags")
    return NewConnection(address, servers, Password(Secret(server.password)), settings)


def box_of(workspace: Workspace, address: str = ANNA) -> SendingMailbox:
    with workspace.store.reading() as connection:
        found = stored.by_address(connection, address)
        assert found is not None
        return sending_mailboxes.by_id(connection, found.id)


def login_of(workspace: Workspace) -> StoredLogin:
    with workspace.store.reading() as connection:
        found = stored.by_address(connection, ANNA)
        assert found is not None
        return connections.login_of(connection, found.id)


def whole_of(workspace: Workspace) -> tuple[SendingMailbox, StoredLogin]:
    """All that is stored of the mailbox."""
    return box_of(workspace), login_of(workspace)


def unheard(step: CheckStep) -> None:
    """Whoever does not listen to the steps."""


def pauses(workspace: Workspace) -> set[tuple[str, str, int]]:
    query = select(t.campaign.c.name, t.campaign_pause.c.reason, t.campaign_pause.c.mailbox_id).join(
        t.campaign, t.campaign.c.id == t.campaign_pause.c.campaign_id
    )
    with workspace.store.reading() as connection:
        return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def state_of(workspace: Workspace, name: str) -> CampaignState:
    with workspace.store.reading() as connection:
        found = campaigns.find(connection, name)
    assert found is not None
    return found.state


def actions(workspace: Workspace) -> list[str]:
    with workspace.store.reading() as connection:
        return [event.action for event in events.listing(connection)]


def logged(workspace: Workspace) -> list[tuple[str, Mapping[str, object]]]:
    with workspace.store.reading() as connection:
        return [(event.action, event.data) for event in events.listing(connection)]


# --- connect


def test_b5_the_first_mailbox_is_the_default_and_the_second_is_not(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context = context_of(workspace)
    first = connecting.connect(context, wanted(server), NOW)
    second = connecting.connect(context, wanted(server, server.senders[1]), NOW)
    assert (first.is_default, second.is_default) == (True, False)
    assert [(c.slots_taken, c.slots_total) for c in (first, second)] == [(1, 2), (2, 2)]
    assert actions(workspace).count("mailbox.connected") == 2


def test_what_was_connected_logs_in_with_the_secret_that_was_stored(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context = context_of(workspace)
    connecting.connect(context, wanted(server), NOW)
    assert login_tests.test(context, ANNA, LATER).passed
    box = box_of(workspace)
    assert box.state is ConnectionState.CONNECTED
    assert box.health.last_test_at == LATER
    secret = login_of(workspace).secret
    assert secret is not None
    assert server.password.encode() not in secret


def test_a5_without_a_free_slot_it_is_refused_before_and_inside_the_transaction(
    workspace: Workspace, server: SandboxInfo
) -> None:
    """A1 too: the plan gives two slots."""
    context = context_of(workspace)
    for address in server.senders[:2]:
        connecting.connect(context, wanted(server, address), NOW)
    third = server.senders[2]
    with pytest.raises(Refused) as early:
        connecting.refuse_connect(context, third, None, None, {})
    with pytest.raises(Refused) as late:
        connecting.connect(context, wanted(server, third), NOW)
    assert early.value.code == late.value.code == "slot.none_free"
    assert server.senders[0] in early.value.message
    assert early.value.hint is not None
    with workspace.store.reading() as connection:
        assert stored.by_address(connection, third) is None


def test_a5_the_slot_of_a_disconnected_mailbox_is_free(workspace: Workspace, server: SandboxInfo) -> None:
    context = context_of(workspace)
    for address in server.senders[:2]:
        connecting.connect(context, wanted(server, address), NOW)
    slot_id = box_of(workspace).slot_id
    reconnecting.disconnect(context, ANNA, LATER)
    third = connecting.connect(context, wanted(server, server.senders[2]), LATER)
    assert third.slot_id == slot_id
    assert third.slots_taken == 2


def test_c5_an_address_returns_to_its_own_slot_and_a_new_one_takes_a_slot_nobody_returns_to(
    workspace: Workspace, server: SandboxInfo
) -> None:
    """Single-sender campaigns are bound to the slot: another address in it would send for them."""
    context = context_of(workspace)
    anna, _, clara = server.senders
    connecting.connect(context, wanted(server, anna), NOW)
    reconnecting.disconnect(context, anna, NOW)
    new = connecting.connect(context, wanted(server, clara), NOW)
    assert new.slot_id != box_of(workspace, anna).slot_id
    reconnecting.disconnect(context, clara, NOW)
    again = connecting.connect(context, wanted(server, clara), NOW)
    assert again.slot_id == new.slot_id


def test_a5_a_named_slot_must_be_the_users_and_empty(workspace: Workspace, server: SandboxInfo) -> None:
    context = context_of(workspace)
    other = workspace.add_user("ben@example.org")
    with workspace.store.reading() as connection:
        query = select(t.slot.c.id).where(t.slot.c.user_id == other.id)
        foreign = connection.execute(query).scalars().first()
    with pytest.raises(Refused) as not_theirs:
        connecting.connect(context, replace(wanted(server), slot_id=foreign), NOW)
    made = connecting.connect(context, wanted(server), NOW)
    again = replace(wanted(server, server.senders[1]), slot_id=made.slot_id)
    with pytest.raises(Refused) as taken:
        connecting.connect(context, again, NOW)
    assert not_theirs.value.code == "slot.not_owned"
    assert taken.value.code == "slot.taken"
    assert ANNA in taken.value.message


def test_a5_two_connects_at_once_do_not_share_the_last_slot(
    workspace: Workspace, server: SandboxInfo
) -> None:
    key = KeyInMemory()
    contexts = [context_of(workspace, key=key) for _ in range(2)]
    accounts.note_key(contexts[0])
    connecting.connect(contexts[0], wanted(server), NOW)
    together = Barrier(2)

    def attempt(context: Context, address: str) -> str:
        together.wait()
        try:
            connecting.connect(context, wanted(server, address), NOW)
        except Refused as refused:
            return refused.code
        return "connected"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, contexts, server.senders[1:]))
    assert sorted(outcomes) == ["connected", "slot.none_free"]


def test_a6_members_connect_on_their_own_seat_and_admins_for_anybody(
    workspace: Workspace, server: SandboxInfo
) -> None:
    admin = context_of(workspace)
    member = workspace.add_user("mia@example.org", Role.MEMBER)
    for_mia = replace(wanted(server), user_email="mia@example.org")
    for_admin = replace(wanted(server), user_email=workspace.admin.email)
    with pytest.raises(Refused) as refused:
        connecting.connect(replace(admin, actor=events.Actor(member.id, "mia")), for_admin, NOW)
    assert refused.value.code == "user.not_allowed"
    assert connecting.connect(admin, for_mia, NOW).user == "mia@example.org"
    with pytest.raises(NotFound) as unknown:
        connecting.connect(admin, replace(for_mia, user_email="nobody@example.org"), NOW)
    assert unknown.value.code == "user.none"


def test_a10_a_locked_user_acts_on_nothing(workspace: Workspace, server: SandboxInfo) -> None:
    context = context_of(workspace)
    connecting.connect(context, wanted(server), NOW)
    with workspace.store.writing() as connection:
        connection.execute(update(t.user).values(state="locked"))
    with pytest.raises(Refused) as refused:
        mailbox_views.pause(context, ANNA, NOW)
    assert refused.value.code == "user.locked"
    assert box_of(workspace).health.paused_at is None


def test_a9_an_address_is_on_one_seat_and_the_refusal_names_it(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context = context_of(workspace)
    workspace.add_user("mia@example.org")
    connecting.connect(context, wanted(server), NOW)
    with pytest.raises(Refused) as twice:
        connecting.connect(context, wanted(server), NOW)
    with pytest.raises(Refused) as elsewhere:
        connecting.connect(context, replace(wanted(server), user_email="mia@example.org"), NOW)
    assert (twice.value.code, elsewhere.value.code) == ("mailbox.connected", "mailbox.elsewhere")
    assert all(workspace.admin.email in refused.value.message for refused in (twice, elsewhere))
    assert twice.value.hint == Command("mailbox", "reconnect", ANNA)


def test_b4_a_daily_limit_above_the_cap_is_refused(workspace: Workspace, server: SandboxInfo) -> None:
    context = context_of(workspace)
    with pytest.raises(Refused) as refused:
        connecting.connect(context, wanted(server, daily_limit="501"), NOW)
    assert refused.value.code == "limit.above_cap"
    connecting.connect(context, wanted(server, daily_limit="500"), NOW)
    assert box_of(workspace).settings.highest_limit == 500


# --- what a login says


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def account(server: SandboxInfo, **values: object) -> MailAccount:
    whole = MailAccount(ANNA, "imap", server.smtp, server.imap, ANNA, Password(Secret(server.password)))
    return replace(whole, **values)  # type: ignore[arg-type]  # fields by name


def told(wrong: MailAccount) -> tuple[RemoteError, list[CheckStep]]:
    heard: list[CheckStep] = []
    with pytest.raises(RemoteError) as error:
        reconnecting.prove(provider_for("imap", SHORT), wrong, heard.append)
    return error.value, heard


def test_b2_a_wrong_password_names_the_step_and_the_servers_words(server: SandboxInfo) -> None:
    error, heard = told(account(server, credential=Password(Secret("not-it"))))
    assert error.code == "connect.auth"
    assert f"127.0.0.1:{server.smtp.port}" in error.message
    assert "535 5.7.8" in error.message
    assert error.hint == Hint("sign in again:", Command("mailbox", "connect", ANNA))
    assert {step.service for step in heard if not step.passed} == {"smtp", "imap"}


def test_b2_each_step_that_can_fail_is_named(server: SandboxInfo, authority: TlsAuthority) -> None:
    """I2 too: an expired certificate, and a login in clear to another machine, are no connection."""
    with RecordingSmtp({}, tls=authority.expired_context()) as expired:
        wrong = {
            "connect.resolve": Endpoint("nowhere.invalid", 465, Security.TLS),
            "connect.connect": Endpoint("127.0.0.1", closed_port(), Security.NONE),
            "connect.tls": Endpoint("localhost", expired.port, Security.TLS),
        }
        found = {told(account(server, smtp=smtp))[0].code: smtp for smtp in wrong.values()}
    assert found == wrong
    error, _ = told(account(server, imap=Endpoint("192.0.2.1", 143, Security.NONE)))
    assert error.code == "connect.tls"
    assert "clear" in error.message
    assert in_words(error.hint or "") == (
        f"check the server: mailrotate mailbox connect {ANNA} --imap HOST:PORT --security tls (or starttls)"
    )


# --- reconnect and other credentials


def connected(workspace: Workspace, server: SandboxInfo, **settings: str) -> tuple[Context, SendingMailbox]:
    context = context_of(workspace)
    connecting.connect(context, wanted(server, **settings), NOW)
    return context, box_of(workspace)


def as_sender(box: StoredMailbox) -> Sender:
    return Sender(box.id, box.address, box.slot_id, box.connection_id)


def test_c3_a_reconnect_renews_the_password_and_keeps_everything_else(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, before = connected(workspace, server, sender_name="Anna", daily_limit="7")
    old = login_of(workspace)
    with workspace.store.writing() as connection:
        health.fail(connection, before, ReplyClass.AUTH, "535 no", NOW)
    reconnecting.reconnect(
        context,
        ANNA,
        LoginChange(credential=Password(Secret(server.password))),
        unheard,
        resume=False,
        now=LATER,
    )
    after = box_of(workspace)
    assert after.state is ConnectionState.CONNECTED
    assert (after.health.failed_at, after.health.last_error) == (None, None)
    new = login_of(workspace)
    assert (new.generation, new.smtp, new.imap) == (old.generation + 1, old.smtp, old.imap)
    assert account_of(context, new).credential == Password(Secret(server.password))
    for kept in ("connection_id", "settings", "slot_id", "is_default"):
        assert getattr(after, kept) == getattr(before, kept)
    assert "mailbox.reconnected" in actions(workspace)


def test_b2_a_refused_reconnect_changes_nothing(workspace: Workspace, server: SandboxInfo) -> None:
    context, _ = connected(workspace, server)
    before = whole_of(workspace)
    with pytest.raises(RemoteError) as refused:
        reconnecting.reconnect(
            context, ANNA, LoginChange(credential=Password(Secret("wrong"))), unheard, resume=True, now=LATER
        )
    assert refused.value.code == "connect.auth"
    assert refused.value.hint == Hint("sign in again:", Command("mailbox", "reconnect", ANNA, "--resume"))
    assert whole_of(workspace) == before


def test_c13_a_reconnect_as_another_address_is_refused(workspace: Workspace, server: SandboxInfo) -> None:
    context, _ = connected(workspace, server)
    before = whole_of(workspace)
    change = LoginChange(username=server.senders[1], credential=Password(Secret(server.password)))
    with pytest.raises(Refused) as refused:
        reconnecting.reconnect(context, ANNA, change, unheard, resume=False, now=LATER)
    assert refused.value.code == "mailbox.other_address"
    assert refused.value.hint == Hint(
        Command("mailbox", "disconnect", ANNA), ", then:", Command("mailbox", "connect", server.senders[1])
    )
    assert whole_of(workspace) == before


def test_b7_new_servers_are_tested_before_they_replace_the_old(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, _ = connected(workspace, server)
    whole = whole_of(workspace)
    away = Endpoint("127.0.0.1", closed_port(), Security.NONE)
    with pytest.raises(RemoteError):
        mailbox_settings.change(context, ANNA, {}, LATER, login=LoginChange(smtp=away))
    assert whole_of(workspace) == whole
    before = whole[1]
    with Sandbox(password=server.password) as other:
        new = LoginChange(smtp=other.info.smtp, imap=other.info.imap)
        mailbox_settings.change(context, ANNA, {}, LATER, login=new)
        after = login_of(workspace)
    assert (after.smtp, after.imap) == (other_smtp := new.smtp, new.imap)
    assert other_smtp != before.smtp
    mailbox_settings.change(
        context,
        ANNA,
        {},
        LATER,
        login=LoginChange(before.smtp, before.imap, credential=Password(Secret(server.password))),
    )
    told = [data for action, data in logged(workspace) if action == "mailbox.set"]
    old, moved = f"127.0.0.1:{before.smtp.port} (none)", f"127.0.0.1:{after.smtp.port} (none)"
    assert told[0] == {"key": "smtp", "before": old, "after": moved}
    assert [data["key"] for data in told] == ["smtp", "imap", "smtp", "imap", "password"]
    assert told[-1] == {"key": "password", "before": None, "after": "changed"}
    assert account_of(context, login_of(workspace)).credential == Password(Secret(server.password))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"folders": ["Sent", "Nowhere"]}, "folder.none"),
        ({"daily_limit": "501"}, "limit.above_cap"),
        ({"access": "shared"}, "plan.no_sharing"),
    ],
)
def test_b3_b7_one_refused_part_leaves_all_of_it_undone(
    workspace: Workspace, server: SandboxInfo, change: Given, code: str
) -> None:
    """The new login is good and the other settings are; the folders are looked up by the new servers."""
    context, _ = connected(workspace, server)
    before = whole_of(workspace)
    told = logged(workspace)
    with Sandbox(password="another") as other:
        login = LoginChange(other.info.smtp, other.info.imap, credential=Password(Secret("another")))
        good = {"sender_name": "Anna A.", "gap": "90s", "timezone": "Asia/Tokyo", "ramp": "1,1,9"}
        with pytest.raises((Refused, NotFound)) as refused:
            mailbox_settings.change(context, ANNA, {**good, **change}, LATER, login=login)
        assert refused.value.code == code
        assert (whole_of(workspace), logged(workspace)) == (before, told)
        bad = replace(login, credential=Password(Secret("wrong")))
        with pytest.raises(RemoteError) as wrong:
            mailbox_settings.change(context, ANNA, {**good, "folders": ["Sent"]}, LATER, login=bad)
        assert wrong.value.code == "connect.auth"
        assert (whole_of(workspace), logged(workspace)) == (before, told)
        mailbox_settings.change(context, ANNA, {**good, "folders": ["Sent"]}, LATER, login=login)
    after = box_of(workspace)
    assert (after.settings.folders, after.settings.sender_name) == (("INBOX", "Sent"), "Anna A.")
    assert login_of(workspace).imap == login.imap
    assert account_of(context, login_of(workspace)).credential == Password(Secret("another"))
    keys = [data["key"] for action, data in logged(workspace) if action == "mailbox.set"]
    assert sorted(map(str, keys)) == [
        "folders", "gap", "imap", "password", "ramp", "sender_name", "smtp", "timezone",
    ]  # fmt: skip


def test_c3_a_reconnect_says_how_many_go_on_and_when(workspace: Workspace, server: SandboxInfo) -> None:
    context, box = connected(workspace, server)
    campaign = workspace.add_campaign("autumn", [as_sender(box)])
    (sender_id,) = workspace.senders(campaign)
    in_an_hour = LATER + timedelta(hours=1)
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender_id, next_at=in_an_hour)
    workspace.add_recipient(campaign, "lee@example.com", sender_id=sender_id, state="replied")
    renewed = reconnecting.reconnect(
        context,
        ANNA,
        LoginChange(credential=Password(Secret(server.password))),
        unheard,
        resume=False,
        now=LATER,
    )
    assert renewed.waiting.going_on == 1
    assert renewed.waiting.next_at is not None
    assert timedelta() <= renewed.waiting.next_at - in_an_hour < timedelta(seconds=1)


def test_c6_resume_lifts_only_what_this_mailbox_has_paused(workspace: Workspace, server: SandboxInfo) -> None:
    context, box = connected(workspace, server)
    workspace.add_campaign("single", [as_sender(box)], rotates=False)
    both = workspace.add_campaign("by hand", [as_sender(box)])
    with workspace.store.writing() as connection:
        health.fail(connection, box, ReplyClass.AUTH, "535 no", NOW)
        campaigns.add_pause(connection, both.id, "by_hand", 0, NOW)
    change = LoginChange(credential=Password(Secret(server.password)))
    plain = reconnecting.reconnect(context, ANNA, change, unheard, resume=False, now=LATER)
    assert plain.resumed == ()
    assert state_of(workspace, "single") is CampaignState.PAUSED
    resumed = reconnecting.reconnect(context, ANNA, change, unheard, resume=True, now=LATER)
    assert list(resumed.resumed) == ["single"]
    assert state_of(workspace, "single") is CampaignState.ACTIVE
    assert pauses(workspace) == {("by hand", "by_hand", 0)}
    assert state_of(workspace, "by hand") is CampaignState.PAUSED


# --- failure


def test_c6_c7_a_failure_pauses_single_senders_and_leaves_a_rotation_to_the_others(
    workspace: Workspace,
) -> None:
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    workspace.add_campaign("single", [anna], rotates=False)
    workspace.add_campaign("rotated", [anna, ben])
    workspace.add_campaign("draft", [anna], rotates=False, state="draft")
    with workspace.store.writing() as connection:
        health.fail(connection, stored.by_id(connection, anna.id), ReplyClass.AUTH, "535 no", NOW)
    assert pauses(workspace) == {("single", reasons.MAILBOX_FAILED, anna.id)}
    assert state_of(workspace, "rotated") is CampaignState.ACTIVE
    with workspace.store.writing() as connection:
        health.fail(connection, stored.by_id(connection, ben.id), ReplyClass.AUTH, "535 no", LATER)
    assert ("rotated", reasons.NO_SENDER, 0) in pauses(workspace)
    assert state_of(workspace, "rotated") is CampaignState.PAUSED
    assert state_of(workspace, "draft") is CampaignState.DRAFT


def test_c1_c2_a_test_that_is_refused_the_login_fails_the_mailbox_at_once(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, box = connected(workspace, server)
    with Sandbox(password="another") as changed:
        ports = {"smtp_port": changed.info.smtp.port, "imap_port": changed.info.imap.port}
        with workspace.store.writing() as connection:
            stored.change_connection(connection, box.connection_id, **ports)
        result = login_tests.test(context, ANNA, LATER)
    assert (result.passed, result.state) == (False, ConnectionState.FAILED)
    assert "535" in str(box_of(workspace).health.last_error)
    with pytest.raises(Refused) as already:
        connecting.refuse_connect(context, ANNA, None, None, {})
    assert already.value.code == "mailbox.connected"


# --- disconnect


def test_c4_c6_a_disconnect_deletes_the_secret_and_pauses_all_campaigns_of_the_mailbox(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, box = connected(workspace, server)
    ben = workspace.add_mailbox("ben@example.org")
    workspace.add_campaign("single", [as_sender(box)], rotates=False)
    rotated = workspace.add_campaign("rotated", [as_sender(box), ben])
    workspace.add_campaign("other", [ben])
    mine, _ = workspace.senders(rotated)
    workspace.add_recipient(rotated, "kim@example.com", sender_id=mine, next_at=NOW)
    workspace.add_message(as_sender(box), rotated, ready_at=NOW)
    following = reconnecting.consequences(context, ANNA)
    assert [(c.name, c.people) for c in following.campaigns] == [("single", 0), ("rotated", 1)]
    assert following.waiting_messages == 1

    reconnecting.disconnect(context, ANNA, LATER)

    after = box_of(workspace)
    assert (after.state, login_of(workspace).secret) == (ConnectionState.DISCONNECTED, None)
    assert after.health.disconnected_at == LATER
    assert after.is_default
    assert pauses(workspace) == {
        (name, reasons.MAILBOX_DISCONNECTED, box.id) for name in ("single", "rotated")
    }
    assert state_of(workspace, "other") is CampaignState.ACTIVE
    with pytest.raises(Refused) as again:
        reconnecting.disconnect(context, ANNA, LATER)
    assert again.value.code == "mailbox.disconnected"
    with pytest.raises(Refused):
        reconnecting.refuse_reconnect(context, ANNA, None)


def test_c4_connected_again_it_starts_from_defaults_and_each_reset_value_is_told(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, former = connected(workspace, server, sender_name="Anna A.", daily_limit="7")
    mailbox_settings.change(context, ANNA, {"timezone": "America/New_York", "gap": "90s"}, NOW)
    workspace.add_sent(as_sender(former), NOW)
    reconnecting.disconnect(context, ANNA, LATER)

    made = connecting.connect(context, wanted(server, daily_limit="9"), LATER)

    assert made.reset == {
        "sender_name": Command("mailbox", "set", ANNA, "--sender-name", "Anna A."),
        "gap": Command("mailbox", "set", ANNA, "--gap", "1m30s"),
        "timezone": Command("mailbox", "set", ANNA, "--timezone", "America/New_York"),
    }
    box = box_of(workspace)
    assert (box.id, box.is_default, box.settings.highest_limit) == (former.id, True, 9)
    assert box.settings.own == OwnSettings(daily_limit=9)
    assert box.connection_id != former.connection_id
    (listed,) = mailbox_views.listing(context, LATER)
    assert listed.sent_today == 1


def test_c6_connecting_again_resumes_no_campaign_unless_it_is_told_to(
    workspace: Workspace, server: SandboxInfo
) -> None:
    context, box = connected(workspace, server)
    workspace.add_campaign("single", [as_sender(box)], rotates=False)
    for resumes, state in ((False, CampaignState.PAUSED), (True, CampaignState.ACTIVE)):
        reconnecting.disconnect(context, ANNA, LATER)
        connecting.connect(context, replace(wanted(server), resumes=resumes), LATER)
        assert state_of(workspace, "single") is state


def test_b4_a_disconnect_does_not_give_a_second_allowance_by_another_zone(
    workspace: Workspace, server: SandboxInfo
) -> None:
    """The own zone's day ends later than the workspace's; the count survives both."""
    context, former = connected(workspace, server)
    mailbox_settings.change(context, ANNA, {"timezone": "America/New_York"}, NOW)
    end = box_of(workspace).settings.day_until
    workspace.add_sent(as_sender(former), NOW)
    reconnecting.disconnect(context, ANNA, LATER)
    connecting.connect(context, wanted(server), LATER)
    assert end is not None
    (just_before,) = mailbox_views.listing(context, end - timedelta(seconds=1))
    (after,) = mailbox_views.listing(context, end)
    assert (just_before.sent_today, after.sent_today) == (1, 0)


def test_history_has_one_row_for_each_connection(workspace: Workspace, server: SandboxInfo) -> None:
    context, _ = connected(workspace, server)
    for _ in range(2):
        reconnecting.disconnect(context, ANNA, LATER)
        connecting.connect(context, wanted(server), LATER)
    with workspace.store.reading() as connection:
        count, current = (
            connection.execute(select(func.count()).select_from(t.connection).where(*where)).scalar_one()
            for where in ((), (t.connection.c.superseded_at.is_(None),))
        )
    assert (count, current) == (3, 1)
