"""Many recipients at once (D8): staged outside the write lock, then put in by one short transaction.

The rows go into a table that only this import sees. Once all are there, `examine` finds out who stands twice
in the file, is in the campaign already, is suppressed or was stopped. What is left goes in by two
`INSERT … SELECT`, and nobody else waits for more than those. Memory does not grow with the file.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Self

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.recipients import sender_of_rank
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.spread import Spread
from mailrotate.core.values.states import RecipientState, SuppressionKind

_staging = MetaData()
_staged = Table(
    "staged",
    _staging,
    Column("line", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("timezone", Text),
    Column("contact_id", BigInteger),
    Column("problem", Text),
    prefixes=["TEMPORARY"],
)


class StagedRow(NamedTuple):
    """One line of a recipients' file: its number, the normalised address, the fields as JSON."""

    line: int
    address: str
    fields: str
    timezone: str | None


class RowProblem(StrEnum):
    """Why a row is not imported."""

    TWICE = "twice"  # an earlier line of the file has the address
    PRESENT = "present"  # it is in the campaign already, open or ended
    SUPPRESSED = "suppressed"
    STOPPED = "stopped"  # C9: for ever, in this campaign


@dataclass(frozen=True)
class Enrolment:
    """How the rows of one import become recipients. Without a spread they wait, unassigned."""

    campaign_id: int
    added_by: int | None
    owner_id: int | None
    now: datetime
    spread: Spread | None = None
    assigned_reason: str | None = None
    next_at: datetime | None = None


class Staging:
    """The rows of one import, on a database session of their own; gone when it ends, however it ends."""

    def __init__(self, store: Store, campaign_id: int) -> None:
        self._store = store
        self._campaign_id = campaign_id
        self._seen: _Present | None = None

    def __enter__(self) -> Self:
        self._session = self._store.engine.connect()
        dialects.open_staging(self._session, self._store.path, _staging)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closed instead of given back to the pool: the staged rows go with the session.
        self._session.invalidate()
        self._session.close()

    def add_many(self, rows: Iterable[StagedRow]) -> None:
        """Stage rows as they come; may be called once."""
        columns = ("line", "address", "domain", "fields", "timezone")
        prepared = (
            (line, address, domain_of(address), fields, timezone) for line, address, fields, timezone in rows
        )
        dialects.load(self._session, "staged", columns, prepared)

    def examine(self) -> dict[RowProblem | None, int]:
        """Find every row that must not go in; returns the counts by problem, None for the good ones."""
        dialects.index_staging(self._session)
        with self._session.begin():
            c = _staged.c
            twice = (
                select(c.address, func.min(c.line).label("first"))
                .group_by(c.address)
                .having(func.count() > 1)
                .subquery()
            )
            self._mark(self._session, RowProblem.TWICE, c.address == twice.c.address, c.line > twice.c.first)
            self._seen = self._present(self._session)
            return self._compare(self._session, self._seen)

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, dict[RowProblem | None, int]]]:
        """The transaction in which the rows go in, with the counts as they are now that all others wait."""
        with self._store.writing(self._session) as connection:
            dialects.lock_contacts(connection)
            present = self._present(connection)
            # Whoever came meanwhile is looked for again; mostly nobody did, and the lock is kept short.
            changed = present != self._seen
            yield connection, self._compare(connection, present) if changed else self._counts(connection)

    def merge(self, connection: Connection, how: Enrolment) -> int:
        """Make recipients of the good rows, in the order of their lines; returns how many.

        New contacts get their ids from here, by line: so nobody is looked up a million times under the lock.
        Raises Busy when a contact was erased meanwhile.
        """
        c, contact, r = _staged.c, t.contact.c, t.recipient.c
        good = c.problem.is_(None)
        lines = connection.execute(select(func.max(c.line))).scalar_one()
        new_id = c.line + dialects.reserve_ids(connection, "contact", lines or 0)
        contacts = {
            "id": new_id,
            "address": c.address,
            "domain": c.domain,
            "fields": literal("{}"),
            "owner_id": literal(how.owner_id, contact.owner_id.type),
            "created_at": literal(how.now, contact.created_at.type),
        }
        new_ones = select(*contacts.values()).where(good, c.contact_id.is_(None)).order_by(c.line)
        connection.execute(insert(t.contact).from_select(list(contacts), new_ones))
        rank = func.row_number().over(order_by=c.line) - 1
        people = {
            "campaign_id": literal(how.campaign_id, r.campaign_id.type),
            "contact_id": func.coalesce(c.contact_id, new_id),
            "state": literal(RecipientState.QUEUED.value),
            "campaign_sender_id": null() if how.spread is None else sender_of_rank(how.spread, rank),
            "assigned_reason": literal(how.assigned_reason, r.assigned_reason.type),
            "fields": dialects.merged_fields(connection, contact.fields, c.fields),
            "timezone": c.timezone,
            "next_step": literal(1),
            "next_at": literal(how.next_at, r.next_at.type),
            "added_by": literal(how.added_by, r.added_by.type),
            "enrolled_at": literal(how.now, r.enrolled_at.type),
        }
        known = (contact.id == c.contact_id) & (contact.address == c.address)
        rows = (
            select(*people.values())
            .select_from(_staged.outerjoin(t.contact, known))
            .where(good, c.contact_id.is_(None) | contact.id.is_not(None))
            .order_by(c.line)
        )
        statement = insert(t.recipient).from_select(list(people), rows)
        imported = connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount
        if imported != self._counts(connection).get(None, 0):
            raise Busy("import.raced", "a contact was erased meanwhile; nobody was imported", "run it again")
        return imported

    def problems(self) -> Generator[tuple[int, str, RowProblem]]:
        """Each row that did not go in, by line, streamed."""
        c = _staged.c
        query = select(c.line, c.address, c.problem).where(c.problem.is_not(None)).order_by(c.line)
        query = query.execution_options(yield_per=500)
        with self._session.begin(), self._session.execute(query) as rows:
            for row in rows:
                yield row.line, row.address, RowProblem(row.problem)

    def _compare(self, connection: Connection, present: "_Present") -> dict[RowProblem | None, int]:
        """Mark what the database knows of the rows; one that is marked keeps its mark."""
        c = _staged.c
        if present.stopped_count:
            hashes = select(t.stopped.c.address_hash).where(t.stopped.c.campaign_id == self._campaign_id)
            self._mark(connection, RowProblem.STOPPED, dialects.sha256(connection, c.address).in_(hashes))
        contact = select(t.contact.c.id).where(t.contact.c.address == c.address)
        connection.execute(
            update(_staged)
            .where(_staged.c.problem.is_(None), contact.exists())
            .values(contact_id=contact.scalar_subquery())
        )
        enrolled = select(t.recipient.c.id).where(
            t.recipient.c.contact_id == c.contact_id, t.recipient.c.campaign_id == self._campaign_id
        )
        self._mark(connection, RowProblem.PRESENT, c.contact_id.is_not(None), enrolled.exists())
        for kind, column in ((SuppressionKind.ADDRESS, c.address), (SuppressionKind.DOMAIN, c.domain)):
            s = t.suppression.c
            values = select(s.value).where(s.kind == kind, s.value.is_not(None))
            self._mark(connection, RowProblem.SUPPRESSED, column.in_(values))
            if present.erased_count:
                hashes = select(s.hash).where(s.kind == kind, s.value.is_(None))
                self._mark(connection, RowProblem.SUPPRESSED, dialects.sha256(connection, column).in_(hashes))
        return self._counts(connection)

    def _mark(self, connection: Connection, problem: RowProblem, *where: ColumnElement[bool]) -> None:
        connection.execute(
            update(_staged).where(_staged.c.problem.is_(None), *where).values(problem=problem.value)
        )

    def _counts(self, connection: Connection) -> dict[RowProblem | None, int]:
        query = select(_staged.c.problem, func.count()).group_by(_staged.c.problem)
        return {
            None if problem is None else RowProblem(problem): count
            for problem, count in connection.execute(query)
        }

    def _present(self, connection: Connection) -> "_Present":
        r, s = t.recipient.c, t.suppression.c
        parts = (
            select(func.count()).where(r.campaign_id == self._campaign_id),
            select(func.max(r.id)).where(r.campaign_id == self._campaign_id),
            select(func.max(t.contact.c.id)),
            select(func.count()).select_from(t.suppression),
            select(func.max(s.id)),
            select(func.count()).where(s.value.is_(None)),
            select(func.count()).where(t.stopped.c.campaign_id == self._campaign_id),
        )
        return _Present(*connection.execute(select(*(part.scalar_subquery() for part in parts))).one())


class _Present(NamedTuple):
    """What changes whenever somebody is added, enrolled, suppressed or stopped."""

    recipient_count: int
    last_recipient: int | None
    last_contact: int | None
    suppression_count: int
    last_suppression: int | None
    erased_count: int
    stopped_count: int
