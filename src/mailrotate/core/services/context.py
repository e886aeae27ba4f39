"""What every service needs from outside; the composition root provides it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from mailrotate.core.ports import MailProvider, MarkPlace, SecretBox, WebhookPoster
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.engine import Store
from mailrotate.core.store.events import Actor
from mailrotate.core.values.clock import Boot
from mailrotate.core.values.credential import Credential, unpack
from mailrotate.core.values.hint import AnyHint
from mailrotate.core.values.mail import MailAccount


class HolidayDates(Protocol):
    def dates(self, code: str, years: Iterable[int]) -> frozenset[date]:
        """The public holidays of a country or region ("DE", "DE-BY")."""


@dataclass(frozen=True)
class Context:
    """The store, the secrets, the mail providers, the mark of sending, the webhooks and the acting user."""

    store: Store
    secrets: SecretBox
    provider: Callable[[str], MailProvider]
    holidays: HolidayDates
    mark: MarkPlace
    webhooks: Callable[[], WebhookPoster]
    actor: Actor
    # The present instant for a command that began at the given one and then waited for a lock.
    later: Callable[[datetime], datetime] = lambda began: began
    # The start of the machine that this process belongs to, and whether a time server keeps its clock (F6).
    boot: Callable[[], Boot | None] = lambda: None
    is_synchronised: Callable[[], bool] = lambda: False
    # Says to the user what a reader could not do.
    remark: Callable[[str], None] = lambda _said: None
    # Called again and again, with the mailbox, while a command waits for a message in flight, if it does.
    patience: Callable[[str], None] | None = None
    # How hints are written into mails: only the CLI knows the shell.
    spell: Callable[[AnyHint], str] = str


def secret_name(connection_id: int) -> str:
    """The name that a connection's secret is bound to (I1)."""
    return f"connection/{connection_id}"


def webhook_secret_name(webhook_id: int) -> str:
    """The name that a webhook's signing secret is bound to (I1)."""
    return f"webhook/{webhook_id}"


def account_of(context: Context, login: StoredLogin) -> MailAccount:
    """Everything a login needs. Raises KeyTrouble if the workspace key is missing or wrong."""
    if login.secret is None:
        raise ValueError(f"{login.address} is disconnected and has no secret")
    plain = context.secrets.open(secret_name(login.connection_id), login.generation, login.secret)
    return account_with(login, unpack(plain))


def account_with(login: StoredLogin, credential: Credential) -> MailAccount:
    """A login to the mailbox's servers with this credential, which may not be stored yet."""
    return MailAccount(login.address, login.provider, login.smtp, login.imap, login.username, credential)
