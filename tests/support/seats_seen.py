"""What the tables hold about users, slots and seats, in plain dicts, read by statements of the tests' own."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store


@dataclass(frozen=True)
class Seen:
    """Users by e-mail address, slots by id, mailboxes and aliases by address; nothing that was removed."""

    users: dict[str, dict[str, Any]]
    slots: dict[int, dict[str, Any]]
    mailboxes: dict[str, dict[str, Any]]
    aliases: dict[str, str]
    held: dict[str, str]
    requests: dict[int, dict[str, Any]]
    plan: dict[str, Any]
    last_event: int

    @property
    def total(self) -> Counter[str | None]:
        """How many slots each user has; of None, how many are in the pool."""
        return Counter(slot["user"] for slot in self.slots.values())

    @property
    def connected(self) -> Counter[str]:
        return Counter(box["user"] for box in self.mailboxes.values() if box["state"] != "disconnected")

    @property
    def admins(self) -> list[str]:
        """Those who can act."""
        of = self.users.items()
        return [email for email, user in of if (user["role"], user["state"]) == ("admin", "active")]


def look(store: Store) -> Seen:
    """One state of the database."""
    with store.reading() as connection:
        return _read(connection)


def _read(connection: Connection) -> Seen:
    u, s, m, c = t.user.c, t.slot.c, t.mailbox.c, t.connection.c

    def rows(query: Select[Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(query).mappings()]

    default = t.mailbox.alias()
    users = select(u.email, u.role, u.state, default.c.address.label("default")).outerjoin(
        default, default.c.id == u.default_mailbox_id
    )
    slots = select(s.id, s.kind, u.email.label("user")).outerjoin(t.user, u.id == s.user_id)
    boxes = (
        select(m.address, u.email.label("user"), c.slot_id.label("slot"), c.state, c.is_shared)
        .join(t.user, u.id == m.user_id)
        .join(t.connection, (c.mailbox_id == m.id) & c.superseded_at.is_(None))
        .where(m.removed_at.is_(None))
    )
    aliases = (
        select(t.alias.c.address, m.address.label("mailbox"))
        .join(t.connection, (c.id == t.alias.c.connection_id) & c.superseded_at.is_(None))
        .join(t.mailbox, m.id == c.mailbox_id)
        .where(m.removed_at.is_(None))
    )
    held = select(t.seat_address.c.canonical, t.seat_address.c.address)
    r = t.mailbox_request.c
    requests = select(r.id, r.address, r.canonical, r.state).where(r.ended_at.is_(None))
    return Seen(
        users={row.pop("email"): row for row in rows(users.where(u.removed_at.is_(None)))},
        slots={row.pop("id"): row for row in rows(slots.where(s.removed_at.is_(None)))},
        mailboxes={row.pop("address"): row for row in rows(boxes)},
        aliases={row["address"]: row["mailbox"] for row in rows(aliases)},
        held={row["canonical"]: row["address"] for row in rows(held)},
        requests={row.pop("id"): row for row in rows(requests)},
        plan=rows(select(t.plan))[0],
        last_event=connection.execute(select(func.max(t.event.c.id))).scalar_one() or 0,
    )
