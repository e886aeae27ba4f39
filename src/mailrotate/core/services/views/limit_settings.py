"""The providers' limits as this workspace has them: sourced data, and what the operator set instead."""

from collections.abc import Sequence
from datetime import datetime

from mailrotate.core.rules import provider_limits
from mailrotate.core.rules.provider_limits import KnownLimit
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, workspaces
from mailrotate.core.store.events import About
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command


def show(context: Context) -> tuple[KnownLimit, ...]:
    with context.store.reading() as connection:
        return provider_limits.known_limits(provider_limits.overrides_in(workspaces.settings(connection)))


def change(
    context: Context, assignments: Sequence[str], providers: tuple[str, ...], now: datetime
) -> tuple[KnownLimit, ...]:
    """Set `NAME=N` (or `off`), all or none. Raises Refused, BadInput with each mistake (`limits.invalid`)."""
    accepted, problems = [], []
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        try:
            accepted.append(provider_limits.check_override(name.strip(), value, providers))
        except BadInput as mistake:
            problems.append(mistake.sentence)
    if problems:
        said = problems[0] if len(problems) == 1 else f"{len(problems)} of these cannot be set"
        raise BadInput("limits.invalid", said, Command("limits", "show"), problems)
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        overrides = provider_limits.overrides_in(workspaces.settings(connection))
        before = {known.name: known.limit for known in provider_limits.known_limits(overrides)}
        for key, value in accepted:
            workspaces.set_setting(connection, key, value)
            name = key.removeprefix(provider_limits.SETTING)
            told = {"before": before.get(name), "after": None if value == "off" else int(value)}
            events.record(connection, context.actor, "limit.changed", now, About(), key=name, **told)
            before[name] = told["after"]
    return show(context)
