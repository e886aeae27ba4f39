"""Suppress addresses and domains in all campaigns (D6, I4).

The list belongs to the workspace: every active user sees it and may add to it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.addresses import read_suppressed, without_comment
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.text import is_blank
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.effects.door import acting
from mailrotate.core.store import events
from mailrotate.core.store.events import About
from mailrotate.core.store.people import recipients, suppressions
from mailrotate.core.store.people.suppressions import Suppressed
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.reasons import BY_HAND
from mailrotate.core.values.states import SuppressionKind

# One transaction for each line of a list would take 150 times as long as one for so many.
_LINES_AT_ONCE = 5_000


@dataclass(frozen=True)
class Added:
    """`is_new` is False if it was already suppressed; `ended` counts the recipients that ended."""

    kind: SuppressionKind
    value: str
    is_new: bool
    ended: int


@dataclass(frozen=True)
class AddedMany:
    """What an import did: `known` ones were suppressed already, or stand twice in the list."""

    added: int
    known: int
    ended: int


@dataclass(frozen=True)
class BadLine:
    """A line that names neither an address nor a domain, with the reason."""

    line: int
    problem: str


def add(context: Context, text: str, reason: str, now: datetime) -> Added:
    """Suppress an address or a domain; its open recipients end in every campaign. Raises BadInput."""
    kind, value = read_suppressed(text)
    domain = value if kind is SuppressionKind.DOMAIN else None
    with acting(context, now) as (connection, now):
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        ended = recipients.open_of_address(connection, value, domain)
        is_new = lifecycle.suppress(
            connection, context.actor, kind, value, reason=reason, source=BY_HAND, now=now
        )
    return Added(kind, value, is_new, len(ended))


def open_count(context: Context, text: str) -> int:
    """Count the recipients that a suppression would end. Raises BadInput, Refused (`user.…`)."""
    kind, value = read_suppressed(text)
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        domain = value if kind is SuppressionKind.DOMAIN else None
        return len(recipients.open_of_address(connection, value, domain))


def add_many(
    context: Context,
    lines: Iterable[str],
    reason: str,
    note: Callable[[BadLine], None],
    progress: Callable[[int], None],
    now: datetime,
) -> AddedMany:
    """Suppress what each line names, in portions: those before an interruption stay suppressed.

    Empty lines and comments name nothing; what is neither an address nor a domain goes to `note`.
    """
    added = known = ended = 0
    for some in _portions(lines, note, progress):
        with acting(context, now) as (connection, now):
            seats.require_deed(connection, context.actor, Deed.PEOPLE)
            new, gone = lifecycle.suppress_many(
                connection, context.actor, some, reason=reason, source="import", now=now
            )
        added, known, ended = added + new, known + len(some) - new, ended + gone
    return AddedMany(added, known, ended)


def _portions(
    lines: Iterable[str], note: Callable[[BadLine], None], progress: Callable[[int], None]
) -> Iterator[list[tuple[SuppressionKind, str]]]:
    entries: list[tuple[SuppressionKind, str]] = []
    for number, line in enumerate(lines, start=1):
        text = without_comment(line)
        if not is_blank(text):
            try:
                entries.append(read_suppressed(text))
            except BadInput as mistake:
                note(BadLine(number, mistake.message))
        if len(entries) == _LINES_AT_ONCE:
            yield entries
            entries = []
            progress(number)
    if entries:
        yield entries


def remove(context: Context, text: str, now: datetime) -> str:
    """Lift a suppression, in any spelling; recipients that it ended stay ended.

    Raises BadInput, NotFound (`suppression.none`).
    """
    kind, value = read_suppressed(text)
    with acting(context, now) as (connection, now):
        seats.require_deed(connection, context.actor, Deed.UNSUPPRESS)
        if not suppressions.remove(connection, kind, value, now):
            raise NotFound("suppression.none", f"{value} is not suppressed", Command("suppression", "list"))
        domain = value if kind is SuppressionKind.DOMAIN else None
        events.record(
            connection, context.actor, "suppression.removed", now, About(), kind=kind, domain=domain
        )
    return value


@contextmanager
def listing(context: Context, after: int | None, limit: int | None) -> Iterator[Iterator[Suppressed]]:
    """List suppressions in the order of adding, streamed inside the block. Raises Refused (`user.…`)."""
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        # Closed before the connection, also when not all of it was wanted.
        with closing(suppressions.listing(connection, after, limit)) as found:
            yield found
