"""The mail servers of the model, at the port where the core meets them: they remember what they took.

What a server has taken is in a file, because a command that dies in the middle is a process of its own.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self
from unittest.mock import patch

from mailrotate.app import App
from mailrotate.core.values.credential import OAuthToken
from mailrotate.core.values.mail import (
    INBOX,
    CheckStep,
    Envelope,
    FolderCursor,
    InboxHeaders,
    MailAccount,
    MailTrouble,
    ServerReply,
)
from mailrotate.core.values.states import Phase

# Every campaign of the model says in its text which campaign and which step it is.
_MARK = re.compile(rb"This is (\w+) number (\d)\.")


@dataclass(frozen=True)
class Taken:
    """One message as its server took it; `step` is 0 for a notice to a user."""

    login: str
    to: str
    message_id: str
    campaign: str
    step: int


@dataclass
class Post:
    """A MailProvider for every mailbox.

    Servers refuse the mailboxes in `refusing`, and do not answer those in `silent`.
    """

    file: Path
    refusing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    # What recipients have answered, by the mailbox in whose inbox it arrived.
    answers: dict[str, list[bytes]] = field(default_factory=dict)

    def answer(self, message: Taken) -> None:
        """Deliver a person's reply to a message."""
        inbox = self.answers.setdefault(message.login, [])
        inbox.append(
            f"From: <{message.to}>\nTo: <{message.login}>\nSubject: Re: A question\n"
            f"Message-ID: <{len(inbox)}.{message.to}>\nIn-Reply-To: {message.message_id}\n\n".encode()
        )

    def taken(self, after: int = 0) -> list[Taken]:
        """What all servers have taken, in order, without the first `after`."""
        if not self.file.exists():
            return []
        return [Taken(**json.loads(line)) for line in self.file.read_text().splitlines()[after:]]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Programs that start meanwhile in this process reach these servers."""
        with patch.object(App, "provider", lambda _app, _name: self):
            yield

    def _log_in(self, account: MailAccount) -> None:
        if account.address in self.silent:
            raise MailTrouble(ServerReply(Phase.CONNECT, None, None, "Connection timed out"))
        if account.address in self.refusing:
            raise MailTrouble(ServerReply(Phase.AUTH, 535, "5.7.8", "Username and Password not accepted"))

    def open_sender(self, account: MailAccount) -> "_Sending":
        self._log_in(account)
        return _Sending(self, account.address)

    def open_inbox(self, account: MailAccount) -> "_Reading":
        self._log_in(account)
        return _Reading(self, account.address)

    def check(self, account: MailAccount) -> list[CheckStep]:
        try:
            self._log_in(account)
        except MailTrouble as trouble:
            return [CheckStep("smtp", trouble.reply.phase, False, trouble.reply.text, trouble.reply)]
        return [CheckStep(service, Phase.AUTH, True, "welcome") for service in ("smtp", "imap")]

    def heeding(self, stopping: Callable[[], bool]) -> Self:
        return self

    def renew(self, account: MailAccount) -> OAuthToken:
        raise AssertionError("every mailbox has a password")


@dataclass
class _Sending:
    """A SendSession."""

    post: Post
    login: str
    staged: Envelope | None = None
    usable: bool = True

    def stage(self, envelope: Envelope) -> None:
        self.staged = envelope

    def commit(self) -> ServerReply:
        assert self.staged is not None
        raw = self.staged.raw.replace(b"=\r\n", b"")
        mark = _MARK.search(raw)
        campaign, step = (mark[1].decode(), int(mark[2])) if mark else ("", 0)
        (message_id,) = re.findall(rb"(?im)^Message-ID:\s*(<[^>]+>)", raw)
        line = Taken(self.login, self.staged.recipients[0], message_id.decode(), campaign, step)
        with self.post.file.open("a") as file:
            file.write(json.dumps(line.__dict__) + "\n")
        self.staged = None
        return ServerReply(Phase.DOT, 250, "2.0.0", "taken")

    def abandon(self) -> None:
        self.usable = False

    def close(self) -> None:
        self.usable = False


@dataclass
class _Reading:
    """An InboxSession at a server that files what it sends."""

    post: Post
    login: str

    def folder_names(self) -> list[str]:
        return [INBOX]

    def new_headers(
        self, since: FolderCursor | None, folder: str = INBOX, again: Sequence[int] = (), at_once: int = 100
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        inbox = self.post.answers.get(self.login, [])
        end = FolderCursor(1, len(inbox))
        new = range(len(inbox) if since is None else since.last_uid, len(inbox))
        return end, iter([InboxHeaders(number + 1, inbox[number]) for number in new])

    def has_sent_copy(self, message_id: str) -> bool:
        return any(one.message_id == message_id for one in self.post.taken() if one.login == self.login)

    def sent_since(self, since: datetime) -> Iterator[InboxHeaders] | None:
        return None

    def file_sent_copy(self, raw: bytes) -> None:
        raise AssertionError("the server has filed it")

    def close(self) -> None:
        pass
