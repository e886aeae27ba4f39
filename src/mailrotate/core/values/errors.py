"""The few kinds of error, each with its exit status; see `mailrotate help exit-status`.

Every error has a stable code for scripts, a message that names the thing, and a hint that is the next
command to type.
"""

from collections.abc import Sequence

from mailrotate.core.values.hint import AnyHint


class MailrotateError(Exception):
    """Something the user is told in one sentence instead of in a traceback."""

    exit_status = 1

    def __init__(self, code: str, message: str, hint: AnyHint | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def sentence(self) -> str:
        """The message, with the hint if that is plain text (not a command); for errors in a list."""
        return f"{self.message}; {self.hint}" if isinstance(self.hint, str) else self.message


class BadInput(MailrotateError):
    """Wrong usage or bad input; `problems` lists every mistake of a file, not only the first."""

    exit_status = 2

    def __init__(
        self, code: str, message: str, hint: AnyHint | None = None, problems: Sequence[str] = ()
    ) -> None:
        super().__init__(code, message, hint)
        self.problems = tuple(problems)


class NotFound(MailrotateError):
    exit_status = 3


class Refused(MailrotateError):
    """A rule says no; nothing was changed."""

    exit_status = 4


class RemoteError(MailrotateError):
    """The mail server, the identity provider or the network said no."""

    exit_status = 5


class Busy(MailrotateError):
    """Another process holds what this one needs."""

    exit_status = 6


class ConfirmationNeeded(MailrotateError):
    """A destructive command without a terminal and without --yes."""

    exit_status = 7


class KeyTrouble(MailrotateError):
    """The workspace's key is missing or wrong: our own fault, never a mailbox's (I1)."""

    exit_status = 1


class ClockTrouble(MailrotateError):
    """This machine's clock cannot be believed; nothing irreversible is done (F6)."""

    exit_status = 1


class StoreTrouble(MailrotateError):
    """The database cannot be used as it is."""

    exit_status = 1


class WrongDatabase(StoreTrouble):
    """The named database is not a mailrotate database: wrong input."""

    exit_status = 2
