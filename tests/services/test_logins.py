"""A mailbox with a token, of a provider that the core has never heard of: its life through the services.

The token is renewed when it has ended, stored before it is used, and shown nowhere (C2, I1).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from mailrotate.cli.hints import in_words
from mailrotate.core.services.access import secrets
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
from mailrotate.core.services.running import passes
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.store import connections, events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.sending import inboxes, sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.credential import Credential, OAuthToken
from mailrotate.core.values.errors import Busy, RemoteError
from mailrotate.core.values.mail import INBOX, CheckStep, Endpoint, FolderCursor, MailTrouble, ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import ConnectionState, ReplyClass
from mailrotate.sandbox import person
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support import tokens
from tests.support.canary import found_in, said_with
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace
from tests.support.tokens import REVOKED, UNREACHABLE, Issuer

ANNA = "anna@sandbox.example.org"
KIM = "kim@sandbox.example.com"
MINUTE = timedelta(minutes=1)
# When the first token has ended.
LATER = NOW + timedelta(hours=1)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox() as sandbox:
        yield sandbox.info


@pytest.fixture
def issuer(server: SandboxInfo, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    issuer = Issuer(NOW, server.password)
    tokens.register(monkeypatch, issuer)
    return issuer


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def anna(context: Context, server: SandboxInfo, issuer: Issuer) -> Sender:
    """Connected at NOW with the first token."""
    servers = ServerGuess(tokens.NAME, server.smtp, server.imap, "flags")
    wanted = NewConnection(ANNA, servers, issuer.sign_in(), {"gap": "0s"})
    reconnecting.prove(context.provider(tokens.NAME), wanted.account, unheard)
    connected = connecting.connect(context, wanted, NOW)
    return Sender(connected.mailbox_id, ANNA, connected.slot_id, box_of(context).connection_id)


def unheard(step: CheckStep) -> None:
    """Nobody listens to the steps."""


def box_of(context: Context) -> SendingMailbox:
    with context.store.reading() as connection:
        found = stored.by_address(connection, ANNA)
        assert found is not None
        return sending_mailboxes.by_id(connection, found.id)


def login_of(context: Context) -> StoredLogin:
    with context.store.reading() as connection:
        return connections.login_of(connection, box_of(context).id)


def credential_of(context: Context) -> Credential:
    return account_of(context, login_of(context)).credential


def state_of(context: Context) -> tuple[ConnectionState, str | None]:
    box, c = box_of(context), t.connection.c
    query = select(c.last_error_class).where(c.mailbox_id == box.id, c.superseded_at.is_(None))
    with context.store.reading() as connection:
        return box.state, connection.execute(query).scalar_one()


def work(context: Context, workspace: Workspace, anna: Sender, now: datetime) -> dict[str, int]:
    pace = Pace(clock=lambda: now, wait=lambda _seconds: True, stopping=lambda: False)
    return dict(passes.work_lane(context, workspace.add_runner(), anna.id, pace))


def enrol(workspace: Workspace, anna: Sender, name: str = "autumn") -> None:
    campaign = workspace.add_campaign(name, [anna])
    workspace.add_recipient(campaign, KIM, sender_id=workspace.senders(campaign)[0], next_at=NOW)


def test_a_mailbox_with_a_token_is_connected_sends_reads_and_is_connected_again(
    context: Context, workspace: Workspace, server: SandboxInfo, issuer: Issuer, anna: Sender
) -> None:
    """Its provider is registered in this test alone: nothing in the core knows of it."""
    assert login_tests.test(context, ANNA, NOW).passed
    enrol(workspace, anna)
    assert work(context, workspace, anna, NOW)["sent"] == 1
    person.answer(server, KIM, "Yes, please")
    issuer.now = LATER
    assert work(context, workspace, anna, LATER)["replies"] == 1
    # By reading it was renewed; signing in again makes a third token.
    change = LoginChange(credential=issuer.sign_in())
    reconnecting.reconnect(context, ANNA, change, unheard, resume=False, now=LATER)
    assert login_tests.test(context, ANNA, LATER).passed
    assert (issuer.renewals, len(issuer.given)) == (1, 3)
    assert credential_of(context) == issuer.given[-1]
    with context.store.reading() as connection:
        changed = [one.data for one in events.listing(connection) if one.action == "mailbox.set"]
    assert {"key": "token", "before": None, "after": "changed"} in changed


def test_c3_a_mailbox_moves_from_a_token_to_new_servers_with_the_token_renewed(
    context: Context, server: SandboxInfo, issuer: Issuer, anna: Sender
) -> None:
    """B7: the change needs the stored credential, which has ended."""
    issuer.now = LATER
    change = LoginChange(smtp=Endpoint("localhost", server.smtp.port, server.smtp.security))
    mailbox_settings.change(context, ANNA, {"folders": ["INBOX"]}, LATER, login=change)
    assert login_of(context).smtp.host == "localhost"
    assert credential_of(context) == issuer.given[1]
    assert issuer.renewals == 1


def test_i1_a_renewed_token_is_stored_sealed_before_it_is_used(
    context: Context, workspace: Workspace, issuer: Issuer, anna: Sender
) -> None:
    used: list[Credential] = []

    def look(credential: Credential) -> None:
        assert credential == credential_of(context)
        used.append(credential)

    issuer.at_login, issuer.now = look, LATER
    before = login_of(context)
    enrol(workspace, anna)
    assert work(context, workspace, anna, LATER)["sent"] == 1
    after = login_of(context)
    assert set(used) == {issuer.given[1]}
    assert len(used) > 1  # to read and to send
    assert after.generation == before.generation + 1
    for secret in issuer.given[1].secrets:
        assert after.secret is not None
        assert found_in(secret.reveal(), after.secret) == []


def test_a_token_that_lasts_is_not_renewed(context: Context, issuer: Issuer, anna: Sender) -> None:
    assert login_tests.test(context, ANNA, LATER - 6 * MINUTE).passed
    assert issuer.renewals == 0
    assert login_tests.test(context, ANNA, LATER - 5 * MINUTE).passed
    assert issuer.renewals == 1


def test_a_token_that_the_server_refuses_before_its_end_is_renewed_once(
    context: Context, workspace: Workspace, issuer: Issuer, anna: Sender
) -> None:
    """It was revoked, or the clock of this machine is slow. Sending, reading and testing alike."""
    issuer.revoke_access()
    assert login_tests.test(context, ANNA, NOW).passed
    issuer.revoke_access()
    enrol(workspace, anna)
    assert work(context, workspace, anna, NOW)["sent"] == 1
    assert issuer.renewals == 2
    assert state_of(context) == (ConnectionState.CONNECTED, None)


def test_c2_a_refused_renewal_fails_the_mailbox_at_once_and_a_new_sign_in_ends_it(
    context: Context, workspace: Workspace, issuer: Issuer, anna: Sender
) -> None:
    issuer.trouble = REVOKED
    enrol(workspace, anna)
    assert "sent" not in work(context, workspace, anna, LATER)
    box = box_of(context)
    assert state_of(context) == (ConnectionState.FAILED, ReplyClass.AUTH)
    assert box.health.last_error is not None
    assert "invalid_grant" in box.health.last_error
    issuer.trouble, issuer.now = None, LATER
    change = LoginChange(credential=issuer.sign_in())
    reconnecting.reconnect(context, ANNA, change, unheard, resume=True, now=LATER)
    assert state_of(context) == (ConnectionState.CONNECTED, None)
    assert work(context, workspace, anna, LATER)["sent"] == 1


def test_c2_a_test_says_what_the_provider_answered_to_the_renewal(
    context: Context, issuer: Issuer, anna: Sender
) -> None:
    issuer.trouble = REVOKED
    result = login_tests.test(context, ANNA, LATER)
    assert [(step.service, step.step, step.passed) for step in result.steps] == [("token", "auth", False)]
    assert result.steps[0].message == REVOKED.reply.text
    assert result.state is ConnectionState.FAILED


def test_c2_a_provider_that_cannot_be_reached_fails_no_mailbox_and_loses_no_token(
    context: Context, workspace: Workspace, issuer: Issuer, anna: Sender
) -> None:
    issuer.trouble = UNREACHABLE
    enrol(workspace, anna)
    assert "sent" not in work(context, workspace, anna, LATER)
    assert not login_tests.test(context, ANNA, LATER + MINUTE).passed
    assert state_of(context) == (ConnectionState.CONNECTED, ReplyClass.NET)
    assert credential_of(context) == issuer.given[0]
    issuer.trouble, issuer.now = None, LATER + 2 * MINUTE
    assert login_tests.test(context, ANNA, issuer.now).passed
    assert work(context, workspace, anna, issuer.now + 30 * MINUTE)["sent"] == 1


def test_c2_a_provider_out_of_reach_for_long_fails_the_mailbox_only_when_others_are_reached(
    context: Context, workspace: Workspace, issuer: Issuer, anna: Sender
) -> None:
    issuer.trouble = UNREACHABLE
    for minutes in (0, 29, 31):
        login_tests.test(context, ANNA, LATER + minutes * MINUTE)
    assert state_of(context) == (ConnectionState.CONNECTED, ReplyClass.NET)
    ben = workspace.add_mailbox("ben@example.org", smtp_host="other.example.net")
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, ben.id, INBOX, FolderCursor(1, 0), LATER + 31 * MINUTE)
    login_tests.test(context, ANNA, LATER + 32 * MINUTE)
    assert state_of(context) == (ConnectionState.FAILED, ReplyClass.NET)


@pytest.mark.parametrize(("trouble", "hint"), [(REVOKED, "mailbox reconnect"), (UNREACHABLE, "later:")])
def test_b7_a_change_that_needs_an_ended_token_says_why_it_is_not_made(
    context: Context, issuer: Issuer, anna: Sender, trouble: MailTrouble, hint: str
) -> None:
    issuer.trouble = trouble
    before = box_of(context), login_of(context)
    with pytest.raises(RemoteError) as refused:
        mailbox_settings.change(context, ANNA, {}, LATER, login=LoginChange(username="anna"))
    assert trouble.reply.text in refused.value.message
    assert refused.value.hint is not None
    assert hint in in_words(refused.value.hint)
    assert (box_of(context), login_of(context)) == before


@pytest.mark.parametrize("answer", ["refused", "renewed"])
def test_c2_a_token_that_another_process_stored_meanwhile_is_used(
    context: Context, issuer: Issuer, anna: Sender, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the lane from this one, as it may when PostgreSQL is gone for a while."""
    theirs = replace(issuer.given[0], expires_at=LATER + timedelta(hours=1))

    def overtake(_refresh: Secret) -> OAuthToken:
        store(context, anna, theirs)
        if answer == "refused":
            raise REVOKED
        return replace(theirs, access=Secret("ours"))

    monkeypatch.setattr(issuer, "renew", overtake)
    assert login_tests.test(context, ANNA, LATER).passed
    assert credential_of(context) == theirs


def store(context: Context, anna: Sender, token: OAuthToken) -> None:
    generation = login_of(context).generation
    with context.store.writing() as connection:
        sealed = secrets.seal(context, connection, anna.connection_id, generation + 1, token)
        assert connections.replace_secret(connection, anna.connection_id, generation, sealed)


def test_c4_a_renewed_token_does_not_come_back_after_a_disconnect(
    context: Context, issuer: Issuer, anna: Sender
) -> None:
    generation = login_of(context).generation
    reconnecting.disconnect(context, ANNA, NOW)
    with context.store.writing() as connection:
        assert not connections.replace_secret(connection, anna.connection_id, generation, b"sealed")
    assert login_of(context).secret is None


def test_i1_no_token_is_shown_in_an_error_a_result_or_the_log(
    context: Context,
    workspace: Workspace,
    issuer: Issuer,
    anna: Sender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The server repeats the token that it refuses, and refuses the renewed one too."""
    caplog.set_level(0)
    first = issuer.given[0]
    monkeypatch.setattr(issuer, "renew", lambda refresh: replace(first, access=refresh))
    issuer.revoke_access()
    enrol(workspace, anna)
    shown: list[object] = [work(context, workspace, anna, NOW), login_tests.test(context, ANNA, NOW)]
    with pytest.raises(RemoteError) as refused:
        reconnecting.reconnect(
            context, ANNA, LoginChange(credential=first), shown.append, resume=False, now=NOW
        )
    assert state_of(context) == (ConnectionState.FAILED, ReplyClass.AUTH)
    shown += [box_of(context), mailbox_views.show(context, ANNA, NOW), account_of(context, login_of(context))]
    with context.store.reading() as connection:
        shown += events.listing(connection)
    said = [*map(repr, shown), *(record.getMessage() for record in caplog.records), *capfd.readouterr()]
    said += [refused.value.message, str(refused.getrepr(showlocals=True))]
    assert "[secret]" in refused.value.message
    for secret in first.secrets:
        assert said_with(secret.reveal(), said) == []


def test_c1_a_lane_is_what_a_renewal_holds(context: Context, issuer: Issuer, anna: Sender) -> None:
    """Each login is inside a lane; a second test of the same mailbox waits outside with its token."""
    busy: list[str] = []

    def meanwhile(_credential: Credential) -> None:
        if not busy:
            with pytest.raises(Busy) as refused:
                login_tests.test(context, ANNA, LATER)
            busy.append(refused.value.code)

    issuer.at_login, issuer.now = meanwhile, LATER
    assert login_tests.test(context, ANNA, LATER).passed
    assert busy == ["lane.busy"]
    assert issuer.renewals == 1
