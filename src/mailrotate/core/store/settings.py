"""Settings of mailboxes, and the defaults that apply otherwise (B3, B4, B9, B11)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam

from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Record
from mailrotate.core.values import own_settings
from mailrotate.core.values.address import name_for
from mailrotate.core.values.mail import DEFAULT_GAP, INBOX
from mailrotate.core.values.own_settings import SETTINGS, OwnSettings, Setting, ShownSetting


@dataclass(frozen=True)
class StoredSettings:
    """A mailbox's own settings, and those of its user, the workspace and the plan."""

    own: OwnSettings
    sends_as: str | None
    contact_book: str | None
    user_name: str
    workspace_timezone: str
    daily_cap: int
    sync_every: timedelta
    # The day that is running after a change of time zone.
    day_from: datetime | None
    day_until: datetime | None

    @property
    def timezone(self) -> str:
        return self.own.timezone or self.workspace_timezone

    @property
    def sender_name(self) -> str:
        return self.user_name if self.own.sender_name is None else self.own.sender_name

    @property
    def gap(self) -> timedelta:
        return DEFAULT_GAP if self.own.gap is None else self.own.gap

    @property
    def folders(self) -> tuple[str, ...]:
        """Which folders are read; the INBOX is the first and always among them (G3)."""
        return (INBOX, *(self.own.folders or ()))

    @property
    def highest_limit(self) -> int:
        """The mailbox's own daily limit, never above the plan's cap; a ramp-up may lower it (B4)."""
        return min(self.own.daily_limit or self.daily_cap, self.daily_cap)

    def limit_of_day(self, day_starts_at: datetime) -> tuple[int, int | None]:
        """Return the daily limit for one of the mailbox's days, and the day of the ramp-up if that sets
        the limit (B4)."""
        ramp = self.own.ramp
        if ramp is not None:
            day = ramp.day(day_starts_at)
            if ramp.limit(day) < self.highest_limit:
                return ramp.limit(day), day
        return self.highest_limit, None

    def in_force(self, setting: Setting) -> ShownSetting:
        """Return a setting's value and its origin."""
        own = getattr(self.own, setting.key)
        # The plan's cap binds where it is lower (B4).
        if own is None or (setting.key == "daily_limit" and own > self.daily_cap):
            followed = {
                "user": self.user_name,
                "plan": self.daily_cap,
                "workspace": self.workspace_timezone,
                "default": setting.default,
            }
            return ShownSetting(setting.key, followed[setting.follows], setting.follows)
        return ShownSetting(setting.key, setting.show(own), "own")


COLUMNS = (
    *(t.connection.c[column] for setting in SETTINGS.values() for column in setting.columns),
    t.connection.c.sends_as,
    t.connection.c.contact_book,
    t.user.c.name.label("user_name"),
    t.user.c.email.label("owner_email"),
    t.mailbox.c.address.label("own_address"),
    t.workspace.c.timezone.label("workspace_timezone"),
    t.plan.c.daily_cap,
    t.plan.c.sync_every_seconds,
    t.mailbox.c.day_from,
    t.mailbox.c.day_until,
)


def joined(query: Select[Any]) -> Select[Any]:
    """Join mailboxes with the plan and the workspace."""
    return query.join(t.plan, t.plan.c.id == 1).join(t.workspace, t.workspace.c.id == 1)


def read(r: Record) -> StoredSettings:
    """Read the settings from a row with these columns."""
    return StoredSettings(
        own=own_settings.load(r.__getitem__),
        sends_as=r["sends_as"],
        contact_book=r["contact_book"],
        user_name=name_for(r["own_address"], r["user_name"], r["owner_email"]),
        workspace_timezone=r["workspace_timezone"],
        daily_cap=r["daily_cap"],
        sync_every=timedelta(seconds=r["sync_every_seconds"]),
        day_from=r["day_from"],
        day_until=r["day_until"],
    )


_QUERY = joined(mailboxes.with_connections(t.mailbox.c.id, *COLUMNS))
_OF = _QUERY.where(t.mailbox.c.id == bindparam("b_id"))


def of(connection: Connection, mailbox_id: int) -> StoredSettings:
    return read(connection.execute(_OF, {"b_id": mailbox_id}).mappings().one())


def listing(connection: Connection) -> dict[int, StoredSettings]:
    """List the settings of all present mailboxes, in the order of their first connection."""
    query = _QUERY.where(t.mailbox.c.removed_at.is_(None)).order_by(t.mailbox.c.id)
    return {r["id"]: read(r) for r in connection.execute(query).mappings()}
