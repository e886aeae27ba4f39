"""Hints in words: commands quoted for a shell, and the users to ask. The one place that knows the shell."""

from collections.abc import Iterable
from shlex import join

from mailrotate.core.values.errors import MailrotateError
from mailrotate.core.values.hint import AnyHint, Ask, Command, Hint, Shell

# The maximum number of users to name.
_MOST_NAMED = 3
# Punctuation that follows without a blank.
_CLOSING = (",", ";", ".", ")")


def in_words(hint: AnyHint) -> str:
    """The hint as people read it, on one line."""
    if isinstance(hint, Command):
        return join(hint.words if isinstance(hint, Shell) else ("mailrotate", *hint.words))
    if isinstance(hint, Ask):
        asked = " or ".join(f"{email} ({role})" for email, role in hint.users[:_MOST_NAMED])
        return f"ask {asked} to run{f': {in_words(hint.command)}' if hint.command else ' this command'}"
    return _joined(map(in_words, hint.parts)) if isinstance(hint, Hint) else hint


def with_hint(error: MailrotateError) -> str:
    """The error on one line."""
    return error.message + (f" (hint: {in_words(error.hint)})" if error.hint else "")


def _joined(parts: Iterable[str]) -> str:
    line = ""
    for part in parts:
        line += part if not line or line.endswith("(") or part.startswith(_CLOSING) else f" {part}"
    return line
