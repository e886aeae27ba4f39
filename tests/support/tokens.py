"""A provider whose mailboxes log in with tokens, registered under a name of its own for one test.

Its servers are a sandbox's. What it adds is what a provider with OAuth adds: it looks at the access token of
each login, and it renews tokens, taking each refresh token once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from mailrotate.core.values.credential import Credential, OAuthToken, Password
from mailrotate.core.values.mail import CheckStep, MailAccount, MailTrouble, ServerReply, Timeouts
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase
from mailrotate.providers import imap, registry, smtp, wire
from mailrotate.providers.imap_smtp import ImapSmtpProvider

NAME = "tokens"
REVOKED = MailTrouble(ServerReply(Phase.AUTH, None, None, "invalid_grant: token expired or revoked"))
UNREACHABLE = MailTrouble(ServerReply(Phase.CONNECT, None, None, "the token endpoint: connection refused"))


@dataclass
class Issuer:
    """Gives tokens of an hour for one mailbox; `trouble` is what the next renewals end in."""

    now: datetime
    password: str
    trouble: MailTrouble | None = None
    renewals: int = 0
    # Called with the credential of each login before the server sees it.
    at_login: Callable[[Credential], None] = lambda _credential: None
    given: list[OAuthToken] = field(default_factory=list)

    def sign_in(self) -> OAuthToken:
        """A new grant, as after a consent in the browser."""
        number = len(self.given) + 1
        token = OAuthToken(
            Secret(f"canary-access-{number}"),
            Secret(f"canary-refresh-{number}"),
            self.now + timedelta(hours=1),
            ("mail",),
        )
        self.given.append(token)
        return token

    def renew(self, refresh: Secret) -> OAuthToken:
        self.renewals += 1
        if self.trouble is not None:
            raise self.trouble
        if refresh != self.given[-1].refresh:
            raise REVOKED
        return self.sign_in()

    def revoke_access(self) -> None:
        """The newest access token ends before its time; its refresh token lives on."""
        self.given[-1] = replace(self.given[-1], access=Secret("revoked"))


class TokenProvider(ImapSmtpProvider):
    """A MailProvider (`core.ports`)."""

    def __init__(self, timeouts: Timeouts, issuer: Issuer) -> None:
        super().__init__(timeouts)
        self._issuer = issuer

    def open_sender(self, account: MailAccount) -> smtp.SmtpSession:
        return super().open_sender(self._admitted(account))

    def open_inbox(self, account: MailAccount) -> imap.ImapSession:
        return super().open_inbox(self._admitted(account))

    def check(self, account: MailAccount) -> list[CheckStep]:
        try:
            return super().check(self._admitted(account))
        except MailTrouble as trouble:
            reply = trouble.reply
            return [CheckStep(service, reply.phase, False, reply.text, reply) for service in ("smtp", "imap")]

    def renew(self, account: MailAccount) -> OAuthToken:
        assert isinstance(account.credential, OAuthToken)
        return self._issuer.renew(account.credential.refresh)

    def _admitted(self, account: MailAccount) -> MailAccount:
        """What opens the sandbox, for the access token that is valid now."""
        assert isinstance(account.credential, OAuthToken)
        self._issuer.at_login(account.credential)
        access = account.credential.access
        if access != self._issuer.given[-1].access:
            # As some servers do, it repeats what it was told.
            said = wire.redactor(account)(f"5.7.8 the token {access.reveal()} is not valid")
            raise MailTrouble(ServerReply(Phase.AUTH, 535, "5.7.8", said))
        return replace(account, credential=Password(Secret(self._issuer.password)))


def register(patch: pytest.MonkeyPatch, issuer: Issuer) -> None:
    """The one line that a new provider adds outside its own files."""
    patch.setitem(registry.FACTORIES, NAME, lambda timeouts: TokenProvider(timeouts, issuer))
