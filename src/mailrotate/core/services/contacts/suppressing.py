"""Suppress addresses and domains in all campaigns (D6, I4).

The list belongs to the workspace: every active user sees it and may add to it.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.store import events
from mailrotate.core.store.events import About
from mailrotate.core.store.people import recipients, suppressions
from mailrotate.core.store.people.suppressions import Suppressed
from mailrotate.core.values.address import domain_of, normalise_address
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import BY_HAND
from mailrotate.core.values.states import SuppressionKind


@dataclass(frozen=True)
class Added:
    """`is_new` is False if it was already suppressed; `ended` counts the recipients that ended."""

    kind: SuppressionKind
    value: str
    is_new: bool
    ended: int


def read_value(text: str) -> tuple[SuppressionKind, str]:
    """An address, or a domain (with or without `@` before it), normalised.

    Raises BadInput (`address.invalid`, `domain.invalid`).
    """
    name = text.strip()
    if "@" in name.removeprefix("@"):
        return SuppressionKind.ADDRESS, normalise_address(name)
    try:
        return SuppressionKind.DOMAIN, domain_of(normalise_address(f"someone@{name.removeprefix('@')}"))
    except BadInput:
        raise BadInput(
            "domain.invalid",
            f"'{name[:80]}' is neither an address nor a domain",
            Hint(Command("suppression", "add", "kim@example.com"), "(or example.com, for the whole domain)"),
        ) from None


def add(context: Context, text: str, reason: str, now: datetime) -> Added:
    """Suppress an address or a domain; its open recipients end in every campaign. Raises BadInput."""
    kind, value = read_value(text)
    return _add(context, kind, value, reason, BY_HAND, now)


def _add(
    context: Context, kind: SuppressionKind, value: str, reason: str, source: str, now: datetime
) -> Added:
    domain = value if kind is SuppressionKind.DOMAIN else None
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        ended = recipients.open_of_address(connection, value, domain)
        is_new = lifecycle.suppress(
            connection, context.actor, kind, value, reason=reason, source=source, now=now
        )
    return Added(kind, value, is_new, len(ended))


def open_count(context: Context, text: str) -> int:
    """Count the recipients that a suppression would end. Raises BadInput, Refused (`user.…`)."""
    kind, value = read_value(text)
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        domain = value if kind is SuppressionKind.DOMAIN else None
        return len(recipients.open_of_address(connection, value, domain))


def add_many(
    context: Context, lines: Iterable[str], reason: str, now: datetime
) -> Iterator[tuple[int, Added | BadInput]]:
    """Suppress what each line names; by line, what became of it. Empty lines and those after `#` are none."""
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            kind, value = read_value(text)
        except BadInput as mistake:
            yield number, mistake
        else:
            yield number, _add(context, kind, value, reason, "import", now)


def remove(context: Context, text: str, now: datetime) -> str:
    """Lift a suppression; recipients that it ended stay ended.

    Raises BadInput, NotFound (`suppression.none`).
    """
    kind, value = read_value(text)
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.UNSUPPRESS)
        if not suppressions.remove(connection, value, now):
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
