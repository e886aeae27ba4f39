"""Many recipients at once (D8): staged outside the write lock, then put in by one short transaction.

The rows go into a table that only this import sees. Once all are there, `examine` finds out who stands twice
in the file, is in the campaign already, is suppressed or was stopped. What is left goes in by two
`INSERT … SELECT`, and nobody else waits for more than those. Memory does not grow with the file.
"""

from collections.abc import Iterable, Iterator
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
    Row,
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
from mailrotate.core.store.suppressions import fingerprint
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.spread import Spread
from mailrotate.core.values.states import RecipientState, SuppressionKind

_staging = MetaData()
_staged = Table(
    "staged",
    _staging,
    Column("line", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("timezone", Text),
    Column("problem", Text),
    prefixes=["TEMPORARY"],
)
_domain = Table(
    "staged_domain", _staging, Column("domain", Text), Column("hash", Text), prefixes=["TEMPORARY"]
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
        self._seen: Row[tuple[int, ...]] | None = None

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
        columns = ("line", "address", "domain", "hash", "fields", "timezone")
        prepared = (
            (line, address, domain_of(address), fingerprint(address), fields, timezone)
            for line, address, fields, timezone in rows
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
            domains = self._session.execute(select(c.domain).distinct()).scalars()
            hashed = [(domain, fingerprint(domain)) for domain in domains]
        dialects.load(self._session, "staged_domain", ("domain", "hash"), hashed)
        with self._session.begin():
            self._seen = self._present(self._session)
            return self._compare(self._session)

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, dict[RowProblem | None, int]]]:
        """The transaction in which the rows go in, with the counts as they are now that all others wait."""
        with self._store.writing(self._session) as connection:
            dialects.lock_campaign(connection, self._campaign_id)
            present = self._present(connection)
            # Whoever came meanwhile is looked for again; mostly nobody did, and the lock is kept short.
            yield connection, self._compare(connection) if present != self._seen else self._counts(connection)

    def merge(self, connection: Connection, how: Enrolment) -> int:
        """Make recipients of the good rows, in the order of their lines; returns how many."""
        c, contact = _staged.c, t.contact.c
        good = c.problem.is_(None)
        dialects.insert_missing(
            connection,
            t.contact,
            ["address", "domain", "fields", "owner_id", "created_at"],
            select(
                c.address, c.domain, literal("{}"), _nullable(how.owner_id, contact.owner_id),
                literal(how.now, contact.created_at.type),
            ).where(good).order_by(c.address),
        )  # fmt: skip
        rank = func.row_number().over(order_by=c.line) - 1
        sender = null() if how.spread is None else sender_of_rank(how.spread, rank)
        r = t.recipient.c
        rows = (
            select(
                literal(how.campaign_id, r.campaign_id.type),
                contact.id,
                literal(RecipientState.QUEUED.value),
                sender,
                _nullable(how.assigned_reason, r.assigned_reason),
                dialects.merged_fields(connection, contact.fields, c.fields),
                c.timezone,
                literal(1),
                _nullable(how.next_at, r.next_at),
                _nullable(how.added_by, r.added_by),
                literal(how.now, r.enrolled_at.type),
            )
            .join_from(_staged, t.contact, contact.address == c.address)
            .where(good)
            .order_by(c.line)
        )
        names = ["campaign_id", "contact_id", "state", "campaign_sender_id", "assigned_reason", "fields",
                 "timezone", "next_step", "next_at", "added_by", "enrolled_at"]  # fmt: skip
        statement = insert(t.recipient).from_select(names, rows).execution_options(preserve_rowcount=True)
        return connection.execute(statement).rowcount

    def problems(self) -> Iterator[tuple[int, str, RowProblem]]:
        """Each row that did not go in, by line, streamed."""
        c = _staged.c
        query = select(c.line, c.address, c.problem).where(c.problem.is_not(None)).order_by(c.line)
        with self._session.begin():
            for row in self._session.execute(query.execution_options(yield_per=500)):
                yield row.line, row.address, RowProblem(row.problem)

    def _compare(self, connection: Connection) -> dict[RowProblem | None, int]:
        """Mark what the database knows of the rows; one that is marked keeps its mark."""
        c = _staged.c
        stopped = t.stopped.c.campaign_id == self._campaign_id, t.stopped.c.address_hash == c.hash
        self._mark(connection, RowProblem.STOPPED, select(t.stopped).where(*stopped).exists())
        enrolled = (
            select(t.recipient.c.id)
            .join(t.contact, t.contact.c.id == t.recipient.c.contact_id)
            .where(t.contact.c.address == c.address, t.recipient.c.campaign_id == self._campaign_id)
        )
        self._mark(connection, RowProblem.PRESENT, enrolled.exists())
        s = t.suppression.c
        address = select(s.id).where(s.hash == c.hash, s.kind == SuppressionKind.ADDRESS)
        self._mark(connection, RowProblem.SUPPRESSED, address.exists())
        domains = (
            select(_domain.c.domain)
            .join(t.suppression, s.hash == _domain.c.hash)
            .where(s.kind == SuppressionKind.DOMAIN)
        )
        self._mark(connection, RowProblem.SUPPRESSED, c.domain.in_(domains))
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

    def _present(self, connection: Connection) -> Row[tuple[int, ...]]:
        """What changes whenever somebody is enrolled, suppressed or stopped."""
        r, s = t.recipient.c, t.suppression.c
        parts = (
            select(func.count()).where(r.campaign_id == self._campaign_id),
            select(func.max(r.id)).where(r.campaign_id == self._campaign_id),
            select(func.count()).select_from(t.suppression),
            select(func.max(s.id)),
            select(func.count()).where(t.stopped.c.campaign_id == self._campaign_id),
        )
        return connection.execute(select(*(part.scalar_subquery() for part in parts))).one()


def _nullable(value: object, column: Column[object]) -> ColumnElement[object]:
    return literal(value, column.type)
