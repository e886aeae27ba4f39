"""An inbox as services see one (`core.ports.InboxSession`), for tests of what they do with its mail."""

from collections.abc import Iterator

from mailrotate.core.values.mail import INBOX, FolderCursor, InboxHeaders


class Inbox:
    """Holds some mails, from the beginning, and a copy of everything that was sent."""

    inbox: list[bytes]

    def new_headers(
        self, _since: object, _folder: str = INBOX, _again: object = (), _at_once: int = 100
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        mails = [InboxHeaders(uid, raw) for uid, raw in enumerate(self.inbox, 1)]
        return FolderCursor(1, len(mails)), iter(mails)

    def has_sent_copy(self, _message_id: str) -> bool:
        return True

    def file_sent_copy(self, _raw: bytes) -> None:
        raise AssertionError("there is a copy already")

    def close(self) -> None:
        pass
