"""Logging in with a mailbox's stored credential, which is renewed when it has ended (C2, I1).

Some providers accept each refresh token once. So only the owner of the mailbox's lane renews a token, and the
new one is stored before it is used.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules.replies import classify
from mailrotate.core.services.access import secrets
from mailrotate.core.services.context import Context, account_of
from mailrotate.core.store import connections
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.values.credential import Credential, OAuthToken
from mailrotate.core.values.mail import CheckStep, MailAccount, MailTrouble, ServerReply
from mailrotate.core.values.states import Phase, ReplyClass

Session = TypeVar("Session")


def log_in(
    context: Context,
    mailbox_id: int,
    now: datetime,
    attempt: Callable[[MailProvider, MailAccount], Session],
) -> Session:
    """Log in with the stored credential. A token that the server refuses is renewed, and tried once more.

    The caller holds the mailbox's lane. Raises KeyTrouble, MailTrouble.
    """
    account = current_account(context, mailbox_id, now)
    provider = context.provider(account.provider)
    try:
        return attempt(provider, account)
    except MailTrouble as trouble:
        if not _may_have_ended(account, trouble.reply):
            raise
    return attempt(provider, _renewed(context, mailbox_id, account.credential))


def check(context: Context, mailbox_id: int, now: datetime) -> list[CheckStep]:
    """Test both servers as `log_in` does. A renewal that fails is a step of the service `token`.

    The caller holds the mailbox's lane. Raises KeyTrouble.
    """
    try:
        account = current_account(context, mailbox_id, now)
        provider = context.provider(account.provider)
        steps = provider.check(account)
        if any(step.reply is not None and _may_have_ended(account, step.reply) for step in steps):
            steps = provider.check(_renewed(context, mailbox_id, account.credential))
    except MailTrouble as trouble:
        return [renewal_step(trouble)]
    return steps


def renewal_step(trouble: MailTrouble) -> CheckStep:
    """A failed renewal as a step of a connection test."""
    return CheckStep("token", trouble.reply.phase, False, trouble.reply.text, trouble.reply)


def current_account(context: Context, mailbox_id: int, now: datetime) -> MailAccount:
    """What the mailbox logs in with, its credential renewed if it is due.

    The caller holds the mailbox's lane. Raises KeyTrouble, and MailTrouble when the renewal fails.
    """
    _, account = _stored(context, mailbox_id)
    return _renewed(context, mailbox_id, account.credential) if account.credential.is_due(now) else account


def _may_have_ended(account: MailAccount, reply: ServerReply) -> bool:
    """A token may end before its time: when it is revoked, or when this machine's clock is slow."""
    return (
        isinstance(account.credential, OAuthToken)
        and reply.phase is Phase.AUTH
        and classify(reply, account.provider).reply_class is ReplyClass.AUTH
    )


def _renewed(context: Context, mailbox_id: int, ended: Credential) -> MailAccount:
    """The login with the credential that replaces `ended`, already stored."""
    login, account = _stored(context, mailbox_id)
    if account.credential == ended:
        try:
            token = context.provider(login.provider).renew(account)
        except MailTrouble:
            if _stored(context, mailbox_id)[1].credential == ended:
                raise
        else:
            with context.store.writing() as connection:
                sealed = secrets.seal(context, connection, login.connection_id, login.generation + 1, token)
                if connections.replace_secret(connection, login.connection_id, login.generation, sealed):
                    return replace(account, credential=token)
    # Renewed since the caller read it, or by another process that took the lane from this one.
    return _stored(context, mailbox_id)[1]


def _stored(context: Context, mailbox_id: int) -> tuple[StoredLogin, MailAccount]:
    with context.store.reading() as connection:
        login = connections.login_of(connection, mailbox_id)
    return login, account_of(context, login)
