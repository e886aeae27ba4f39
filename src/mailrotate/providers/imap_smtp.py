"""Every provider that speaks SMTP and IMAP and takes a password."""

from collections.abc import Callable
from copy import copy
from typing import Protocol, Self

from mailrotate.core.values.credential import OAuthToken
from mailrotate.core.values.mail import CheckStep, MailAccount, MailTrouble, Timeouts
from mailrotate.core.values.states import Phase
from mailrotate.providers import imap, smtp, wire


class _Closing(Protocol):
    def close(self) -> None: ...


class ImapSmtpProvider:
    """A MailProvider (`core.ports`)."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._stopping: Callable[[], bool] = lambda: False

    def heeding(self, stopping: Callable[[], bool]) -> Self:
        """See MailProvider."""
        other = copy(self)
        other._stopping = stopping
        return other

    def open_sender(self, account: MailAccount) -> smtp.SmtpSession:
        """See MailProvider."""
        return smtp.open_session(account, self._timeouts)

    def open_inbox(self, account: MailAccount) -> imap.ImapSession:
        """See MailProvider."""
        return imap.open_session(account, self._timeouts, stopping=self._stopping)

    def check(self, account: MailAccount) -> list[CheckStep]:
        """See MailProvider. Tries both services, even if the first one fails."""

        def try_smtp(progress: wire.Progress) -> _Closing:
            return smtp.open_session(account, self._timeouts, progress)

        def try_imap(progress: wire.Progress) -> _Closing:
            session = imap.open_session(account, self._timeouts, progress, self._stopping)
            try:
                progress(Phase.PERMISSION, session.prove_permissions())
            except BaseException:
                session.close()
                raise
            return session

        return [*_steps("smtp", try_smtp), *_steps("imap", try_imap)]

    def renew(self, account: MailAccount) -> OAuthToken:
        """See MailProvider. Refuses each token, as the login does."""
        raise wire.trouble(Phase.AUTH, f"login refused: {account.provider} does not renew tokens")


def _steps(service: str, attempt: Callable[[wire.Progress], _Closing]) -> list[CheckStep]:
    """Collect the server's words in each phase; if a phase speaks twice, its last words count."""
    passed: dict[Phase, CheckStep] = {}

    def note(phase: Phase, words: str) -> None:
        passed[phase] = CheckStep(service, phase, True, words)

    try:
        attempt(note).close()
    except MailTrouble as trouble:
        reply = trouble.reply
        passed.pop(reply.phase, None)
        said = reply.text if reply.code is None else f"{reply.code} {reply.text}"
        return [*passed.values(), CheckStep(service, reply.phase, False, said, reply)]
    return list(passed.values())
