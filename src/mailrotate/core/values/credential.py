"""What a mailbox logs in with, and the form in which it is sealed and stored (I1)."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from mailrotate.core.values.errors import KeyTrouble
from mailrotate.core.values.secret import Secret

# A token that ends during the login is refused by the server, and its clock may be ahead of ours.
_RENEWED_AHEAD = timedelta(minutes=5)
# Starts the stored form of every credential except a password, which is stored as its text.
_TOKEN_FORM = b"\0\x01"


@dataclass(frozen=True)
class Password:
    """A password of the user's, or an app password. Raises ValueError if it contains a NUL (RFC 4616 2)."""

    kind: ClassVar[str] = "password"
    text: Secret

    def __post_init__(self) -> None:
        if "\0" in self.text.reveal():
            raise ValueError("a password cannot contain a NUL")

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every text that must not be shown."""
        return (self.text,)

    def is_due(self, now: datetime) -> bool:
        """Whether to renew it before the next login: never, only the user has a new one."""
        return False


@dataclass(frozen=True)
class OAuthToken:
    """An access token with the refresh token that renews it (RFC 6749 1.5).

    `scopes` are the permissions that were granted, which may be fewer than were asked for.
    """

    kind: ClassVar[str] = "token"
    access: Secret
    refresh: Secret
    expires_at: datetime
    scopes: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every text that must not be shown."""
        return (self.access, self.refresh)

    def is_due(self, now: datetime) -> bool:
        """Whether to renew it before the next login."""
        return self.expires_at - now <= _RENEWED_AHEAD


Credential = Password | OAuthToken


def pack(credential: Credential) -> bytes:
    """The stored form, to be sealed. A password is its text alone, as in the first databases."""
    if isinstance(credential, Password):
        return credential.text.reveal().encode()
    fields = {
        "access": credential.access.reveal(),
        "refresh": credential.refresh.reveal(),
        "expires_at": credential.expires_at.isoformat(),
        "scopes": credential.scopes,
    }
    return _TOKEN_FORM + json.dumps(fields).encode()


def unpack(stored: bytes) -> Credential:
    """Read the stored form. Raises KeyTrouble (`secret.form`) if a newer version wrote it."""
    if not stored.startswith(b"\0"):
        return Password(Secret(stored.decode()))
    if not stored.startswith(_TOKEN_FORM):
        raise KeyTrouble(
            "secret.form",
            "a stored credential was written by a newer version of mailrotate",
            "upgrade mailrotate",
        )
    fields = json.loads(stored.removeprefix(_TOKEN_FORM))
    return OAuthToken(
        access=Secret(fields["access"]),
        refresh=Secret(fields["refresh"]),
        expires_at=datetime.fromisoformat(fields["expires_at"]),
        scopes=tuple(fields["scopes"]),
    )
