"""Limits of mail providers in rolling periods (B4), as data that the operator can change.

The defaults are in `provider_limits.toml`, with date and source; the operator's values take precedence.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from mailrotate.core.values.address import domain_of
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint

SETTING = "limit."
"""Settings with this beginning are overrides: `limit.google.day` is `1500` or `off`."""

Overrides = Mapping[str, int | None]
"""By the limit's name: a number, or None for no limit."""

_PERIODS = {
    "minute": (timedelta(minutes=1), "minute"),
    "hour": (timedelta(hours=1), "hour"),
    "day": (timedelta(hours=24), "24 hours"),
}


@dataclass(frozen=True)
class Limit:
    """At most `limit` messages in any `period`."""

    name: str
    description: str
    period: timedelta
    limit: int


@dataclass(frozen=True)
class KnownLimit:
    """A limit and its source; `limit` is None if the operator switched it off.

    `default`, `source` and `gathered` (year and month) are None for a limit that only the operator knows.
    """

    name: str
    provider: str
    binds: str
    period: timedelta
    limit: int | None
    default: int | None
    source: str | None
    gathered: str | None
    domains: tuple[str, ...] = ("*",)
    except_domains: tuple[str, ...] = ()


def limits_for(provider: str, overrides: Overrides, address: str = "") -> tuple[Limit, ...]:
    """The limits in force for a mailbox; its address shows whether it is a provider's free account."""
    return tuple(
        Limit(known.name, _describe(known), known.period, known.limit)
        for known in known_limits(overrides)
        if known.limit is not None and known.provider == provider and _binds(known, address)
    )


def known_limits(overrides: Overrides) -> tuple[KnownLimit, ...]:
    """List every limit, with its default and the operator's value."""
    data = _data()
    known = [
        KnownLimit(
            name=row["name"],
            provider=row["provider"],
            binds=row["for"],
            period=_period_of(row["name"]),
            limit=overrides.get(row["name"], row["count"]),
            default=row["count"],
            source=row["source"],
            gathered=data["gathered"],
            domains=tuple(row.get("domains", ("*",))),
            except_domains=tuple(row.get("except", ())),
        )
        for row in data["limits"]
    ]
    own = [
        KnownLimit(name, owner, owner, _period_of(name), count, None, None, None)
        for name, count in sorted(overrides.items())
        if name not in _names()
        for owner in [name.rpartition(".")[0]]
    ]
    return (*known, *own)


def overrides_in(settings: Mapping[str, str]) -> Overrides:
    """Select the operator's limits from the workspace's settings."""
    return {
        key.removeprefix(SETTING): None if value == "off" else int(value)
        for key, value in settings.items()
        if key.startswith(SETTING)
    }


def check_override(name: str, value: str, providers: tuple[str, ...]) -> tuple[str, str]:
    """Build the setting (key, value) that sets the limit `name` to `value`.

    Raises BadInput (`limits.unknown`, `limits.invalid`).
    """
    owner, _, period = name.rpartition(".")
    if name not in _names() and (owner not in providers or period not in _PERIODS):
        raise BadInput(
            "limits.unknown",
            f"unknown limit '{name}'",
            Hint(
                f"write a provider and {', '.join(_PERIODS)}, like google.day; to see all:",
                Command("limits", "show"),
            ),
        )
    cleaned = value.strip().lower()
    if cleaned != "off" and not (cleaned.isascii() and cleaned.isdigit() and 0 < int(cleaned) < 10**9):
        raise BadInput(
            "limits.invalid", f"'{value}' is not a limit", "write a number of messages from 1, or off"
        )
    return SETTING + name, cleaned if cleaned == "off" else str(int(cleaned))


def files_sent_copy(provider: str) -> bool | None:
    """Whether the provider files sent mail by itself; None if unknown until tried."""
    return True if provider in _data()["sent_copies"] else None


def _binds(limit: KnownLimit, address: str) -> bool:
    domain = domain_of(address)
    return any(fnmatchcase(domain, pattern) for pattern in limit.domains) and not any(
        fnmatchcase(domain, pattern) for pattern in limit.except_domains
    )


def _describe(limit: KnownLimit) -> str:
    period = _PERIODS[limit.name.rpartition(".")[2]][1]
    return f"{limit.limit:,} messages in any {period} ({limit.binds})"


def _period_of(name: str) -> timedelta:
    return _PERIODS[name.rpartition(".")[2]][0]


def _names() -> frozenset[str]:
    return frozenset(row["name"] for row in _data()["limits"])


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("provider_limits.toml").read_text("utf-8"))
