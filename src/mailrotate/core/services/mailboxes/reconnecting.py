"""Prove, renew and disconnect a connection (B2, B7, C3, C4, C13).

Both servers must accept the login before anything is stored; each step is reported as it happens.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules.replies import classify
from mailrotate.core.rules.transitions import CONNECTION, DEADLINE
from mailrotate.core.services.access import accounts, logins, seats, secrets
from mailrotate.core.services.context import Context, account_with
from mailrotate.core.services.effects import affected_campaigns, late_release, resuming
from mailrotate.core.services.effects.affected_campaigns import Waiting
from mailrotate.core.services.effects.consequences import Consequences, of_disconnect
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.effects.late_release import Late
from mailrotate.core.services.effects.resuming import StillPaused
from mailrotate.core.services.sending import health
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import connections, deadlines, events, mailboxes, moves
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import inboxes
from mailrotate.core.values.credential import Credential
from mailrotate.core.values.errors import Refused, RemoteError
from mailrotate.core.values.hint import AnyHint, Command, Hint
from mailrotate.core.values.mail import CheckStep, Endpoint, MailAccount, MailTrouble
from mailrotate.core.values.own_settings import Change
from mailrotate.core.values.states import ConnectionState, Phase, ReplyClass, Security

# Called with each step of a login.
Tell = Callable[[CheckStep], None]
# The flags of a command with their values; None for a flag without a value.
Flags = Mapping[str, str | None]

_STEP_NAMES = {
    Phase.RESOLVE: "name lookup",
    Phase.CONNECT: "connection",
    Phase.TLS: "TLS",
    Phase.EHLO: "greeting",
    Phase.AUTH: "login",
    Phase.PERMISSION: "permission",
}


@dataclass(frozen=True)
class LoginChange:
    """New servers or credentials of a mailbox; None keeps what it has.

    `keep_security` names the new servers ("smtp", "imap") whose security neither a flag nor the port says.
    """

    smtp: Endpoint | None = None
    imap: Endpoint | None = None
    security: Security | None = None
    username: str | None = None
    credential: Credential | None = None
    keep_security: Collection[str] = ()


@dataclass(frozen=True)
class Renewed:
    """A reconnected mailbox; `resumed` are the campaigns that run again.

    `settled` are the rotations that it had to leave, with the number of stopped recipients and the instant;
    `late` the messages that it sends too late (H4).
    """

    address: str
    waiting: Waiting
    resumed: Sequence[str] = field(default=())
    settled: Sequence[tuple[str, int, datetime]] = field(default=())
    paused: Sequence[StillPaused] = field(default=())
    late: Sequence[Late] = field(default=())


def prove(
    provider: MailProvider,
    account: MailAccount,
    tell: Tell,
    verb: str = "connect",
    typed: Flags = MappingProxyType({}),
) -> None:
    """Log in to both servers, before anything is stored.

    Raises RemoteError (`connect.<phase>`) that names the first step that failed, in the server's words, and
    how to go on with the command `verb`, of which the flags `typed` are repeated.
    """
    steps = provider.check(account)
    for step in steps:
        tell(step)
    failed = next((step for step in steps if not step.passed), None)
    if failed is None:
        return
    server = account.smtp if failed.service == "smtp" else account.imap
    raise RemoteError(
        f"connect.{failed.step}",
        f"{account.address}: {failed.service.upper()} {_STEP_NAMES.get(failed.step, failed.step)} at "
        f"{server.host}:{server.port} failed: {failed.message}",
        _way_on(failed, account, verb, typed),
    )


def _way_on(
    failed: CheckStep,
    account: MailAccount | StoredMailbox,
    verb: str,
    typed: Flags = MappingProxyType({}),
) -> AnyHint:
    """Build the hint for a failed step. Nothing was stored, so nothing retries by itself."""
    plain = Command("mailbox", verb, account.address)
    again = _with_flags(plain, typed)
    if failed.reply is None:
        return again
    verdict = classify(failed.reply, account.provider)
    if verdict.reply_class is ReplyClass.NET and failed.service != "token":
        elsewhere = {**typed, f"--{failed.service}": "HOST:PORT"}
        if failed.step is Phase.TLS:
            secure = _with_flags(plain, {**elsewhere, "--security": "tls"})
            return Hint("check the server:", secure, "(or starttls)")
        return Hint("check the server:", _with_flags(plain, elsewhere))
    if verdict.reply_class in (ReplyClass.NET, ReplyClass.RETRY, ReplyClass.LIMIT):
        return Hint("later:", again)
    # `set` does not ask for a password; `reconnect` does.
    signs_in = "connect" if verb == "connect" else "reconnect"
    hint = verdict.hint.filled({"ADDRESS": account.address, "reconnect": signs_in})
    return Hint(*(again if part == plain else part for part in hint.parts))


def _with_flags(command: Command, flags: Flags) -> Command:
    return Command(*command.words, *(word for flag in flags.items() for word in flag if word is not None))


def refuse_reconnect(context: Context, address: str, username: str | None) -> None:
    """Make every check of `reconnect` that needs no server. Raises NotFound, Refused."""
    box = _connected_mailbox(context, address)
    if username and "@" in username:
        with context.store.reading() as connection:
            login = connections.login_of(connection, box.id)
        _refuse_other_address(login, username.strip().lower())


def reconnect(
    context: Context,
    address: str,
    change: LoginChange,
    tell: Tell,
    *,
    resume: bool,
    park_late: bool = False,
    now: datetime,
    start_key: Callable[[], None] | None = None,
) -> Renewed:
    """Renew the credentials of the same address in one step; every setting and assignment stays (C3).

    With `start_key` the workspace's key is lost: the function starts a new one after the login is proved.
    Raises RemoteError when a login fails, Refused (`mailbox.disconnected`, `mailbox.other_address`), Busy:
    nothing is changed then.
    """
    refuse_reconnect(context, address, change.username)
    box = _connected_mailbox(context, address)
    if start_key is None:
        accounts.prove_key(context)
    with holding_lane(context, box.id, now):
        account = login_after(context, box, change, now, "reconnect")
        asked = {"--resume": resume, "--park-late": park_late}
        typed = {flag: None for flag, is_asked in asked.items() if is_asked}
        prove(context.provider(box.provider), account, tell, "reconnect", typed)
        if start_key is not None:
            start_key()
        with acting(context, now) as (connection, now):
            box = seats.find_mailbox(connection, context.actor, box.address)
            renew(context, connection, box, account, change, now)
            renewed = mailboxes.by_id(connection, box.id)
            actor = context.actor
            resumed = affected_campaigns.lift_pauses(connection, actor, renewed, now) if resume else ()
            releases = park_late or box.state is ConnectionState.FAILED
            late = late_release.of_mailboxes(connection, actor, [renewed], park_late, now) if releases else ()
    with acting(context, now) as (connection, now):
        return Renewed(
            box.address,
            affected_campaigns.waiting_for(context, connection, renewed, now),
            resumed,
            deadlines.last_settled(connection, box.id, DEADLINE["settled"].event),
            resuming.still_paused(connection, context.actor, renewed),
            late,
        )


def _connected_mailbox(context: Context, address: str) -> StoredMailbox:
    with context.store.reading() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
    if box.state is ConnectionState.DISCONNECTED:
        raise Refused(
            "mailbox.disconnected",
            f"{box.address} is disconnected; it can only be connected again, with default settings",
            Command("mailbox", "connect", box.address),
        )
    return box


def _refuse_other_address(login: StoredLogin, username: str) -> None:
    """Refuse a user name that is the address of another mailbox."""
    if username not in (login.address, login.username.lower()):
        raise Refused(
            "mailbox.other_address",
            f"{username} is a different address than {login.address}; a reconnect keeps the address",
            Hint(
                Command("mailbox", "disconnect", login.address),
                ", then:",
                Command("mailbox", "connect", username),
            ),
        )


def renew(
    context: Context,
    connection: Connection,
    box: StoredMailbox,
    account: MailAccount,
    change: LoginChange,
    now: datetime,
) -> list[Change]:
    """Store a login that worked (B7, C3). The caller has the transaction and the lane.

    Return what it replaced.
    """
    before = connections.login_of(connection, box.id)
    generation = before.generation + 1
    sealed = secrets.seal(context, connection, box.connection_id, generation, account.credential)
    mailboxes.change_connection(
        connection,
        box.connection_id,
        generation=generation,
        secret=sealed,
        username=account.username,
        last_test_at=now,
        **connections.server_columns(account.smtp, account.imap),
    )
    health.recover(connection, box, now)
    inboxes.forget_failure(connection, box.id)
    events.record(connection, context.actor, "mailbox.reconnected", now, About(box.id))
    changes = _login_changes(before, connections.login_of(connection, box.id), change)
    for one in changes:
        told = {"key": one.key, "before": one.before, "after": one.after}
        events.record(connection, context.actor, "mailbox.set", now, About(box.id), **told)
    return changes


def _login_changes(before: StoredLogin, after: StoredLogin, change: LoginChange) -> list[Change]:
    """List what a new login replaced."""
    told = [
        Change(key, was, new)
        for key, was, new in (
            ("smtp", _words(before.smtp), _words(after.smtp)),
            ("imap", _words(before.imap), _words(after.imap)),
            ("username", before.username, after.username),
        )
        if was != new
    ]
    renewed = change.credential
    return told + ([Change(renewed.kind, None, "changed")] if renewed is not None else [])


def _words(server: Endpoint) -> str:
    return f"{server.host}:{server.port} ({server.security})"


def login_after(
    context: Context, box: StoredMailbox, change: LoginChange, now: datetime, verb: str
) -> MailAccount:
    """Build the new login. The old secret is opened only if it is still needed.

    The caller holds the mailbox's lane. Raises KeyTrouble, and RemoteError when the old credential has ended
    and is not renewed.
    """
    new = change.credential
    try:
        if new is None:
            account = logins.current_account(context, box.id, now)
        else:
            with context.store.reading() as connection:
                account = account_with(connections.login_of(connection, box.id), new)
    except MailTrouble as trouble:
        failed = logins.renewal_step(trouble)
        raise RemoteError(
            f"connect.{failed.step}",
            f"{box.address}: renewing its token failed: {failed.message}",
            _way_on(failed, box, verb),
        ) from None
    return replace(
        account,
        smtp=_server_after(account.smtp, change.smtp, change, "smtp"),
        imap=_server_after(account.imap, change.imap, change, "imap"),
        username=change.username or account.username,
    )


def _server_after(before: Endpoint, new: Endpoint | None, change: LoginChange, name: str) -> Endpoint:
    if new is None:
        return secured(before, change.security)
    return secured(new, before.security) if name in change.keep_security else new


def secured(server: Endpoint, security: Security | None) -> Endpoint:
    """The same server, with a different security if one is given."""
    return replace(server, security=security or server.security)


def consequences(context: Context, address: str, now: datetime | None = None) -> Consequences:
    """Show what a disconnect would do. Raises Refused if the mailbox is already disconnected."""
    box = _connected_mailbox(context, address)
    with looking(context, now) as connection:
        return of_disconnect(connection, box, box.slot_id, now)


def disconnect(context: Context, address: str, now: datetime) -> None:
    """Delete the secret and pause what the mailbox sends for; its messages wait (C4, C6). Raises Busy."""
    box = _connected_mailbox(context, address)
    with holding_lane(context, box.id, now), acting(context, now) as (connection, now):
        box = seats.find_mailbox(connection, context.actor, address)
        disconnect_within(connection, context.actor, box, now)


def disconnect_within(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> None:
    """Disconnect in the caller's transaction; the caller may do so and holds the mailbox's lane."""
    if moves.move(
        connection,
        CONNECTION["disconnect"],
        box.connection_id,
        secret=None,
        disconnected_at=now,
        trouble_since=None,
    ):
        events.record(connection, actor, "mailbox.disconnected", now, About(box.id))
        affected_campaigns.let_disconnect(connection, actor, mailboxes.by_id(connection, box.id), now)
