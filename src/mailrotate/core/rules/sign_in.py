"""The command that connects a mailbox again, by the state of its connection (C3, C4)."""

from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState


def sign_in_verb(state: str) -> str:
    """Return `connect` for a disconnected mailbox, whose credentials are deleted; otherwise `reconnect`."""
    return "connect" if state == ConnectionState.DISCONNECTED else "reconnect"


def sign_in(state: str, address: str, *flags: str) -> Command:
    """Build the command that connects the mailbox again."""
    return Command("mailbox", sign_in_verb(state), address, *flags)
