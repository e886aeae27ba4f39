"""Import many recipients (D8): stage them outside the write lock, then store them in one short transaction.

The rows go into tables that only this import sees. Once all are there, `examine` sorts them by address and
marks duplicates in the file, recipients that are already in the campaign, and suppressed or stopped people.
The rest is stored by two `INSERT … SELECT` that mostly append to tables and indexes; only these hold the
write lock. Memory does not grow with the file.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from mailrotate.core.store import dialects, moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.people.assignments import place_among, senders_in_order
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.spread import Assignment
from mailrotate.core.values.transition import Transition

_ID = BigInteger().with_variant(Integer(), "sqlite")
_staging = MetaData()
# The rows as they come, in the order of their lines.
_staged = Table(
    "staged",
    _staging,
    Column("line", _ID, primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    prefixes=["TEMPORARY"],
)
# The same people by domain and canonical address, as the index of contacts is sorted: new ones only append to
# it.
_person = Table(
    "person",
    _staging,
    Column("rank", _ID, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("domain", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("contact_id", BigInteger),
    Column("problem", Text),
    prefixes=["TEMPORARY"],
)
# The good ones by line again, numbered without a gap: the order in which senders take turns.
_entry = Table(
    "entry",
    _staging,
    Column("number", _ID, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("contact_id", BigInteger),
    prefixes=["TEMPORARY"],
)

# One line of a recipients' file: its number, the normalised address, its canonical form, the fields as JSON,
# and the time zone, which is empty where the campaign has its own. A plain tuple: a million are made.
StagedRow = tuple[int, str, str, str, str]


class RowProblem(StrEnum):
    """Why a row is not imported."""

    TWICE = "twice"  # an earlier line of the file has the address, perhaps in another spelling
    PRESENT = "present"  # it is in the campaign already, open or ended
    SUPPRESSED = "suppressed"
    STOPPED = "stopped"  # C9: for ever, in this campaign


@dataclass(frozen=True)
class Enrolment:
    """How rows become recipients of one pool. Without an assignment they wait for a sender.

    `added_for` is the user for whom they are added, None if that is the user who adds them.
    """

    transition: Transition
    campaign_id: int
    added_by: int | None
    owner_id: int | None
    now: datetime
    assignment: Assignment | None = None
    next_at: datetime | None = None
    added_for: int | None = None


class Staging:
    """The rows of one import, on a database session of their own; gone when it ends, however it ends."""

    def __init__(self, store: Store, campaign_id: int) -> None:
        self._store = store
        self._campaign_id = campaign_id

    def __enter__(self) -> Self:
        self._session = self._store.engine.connect()
        try:
            with self._store.telling():
                dialects.open_staging(self._session, self._store.path, _staging)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        # Close the session instead of returning it to the pool: staged rows and relaxed checks end with it.
        self._session.invalidate()
        self._session.close()

    def add_many(self, rows: Iterable[StagedRow]) -> None:
        """Stage rows from an iterator; may be called once."""
        with self._store.telling():
            dialects.load(self._session, "staged", _staged.columns.keys(), rows)

    def examine(self) -> dict[RowProblem | None, int]:
        """Mark every row that must not be imported; return the counts by problem, with None for good rows."""
        with self._store.telling(), self._session.begin():
            self._sort_people(self._session)
            self._seen = self._present(self._session)
            self._counted = self._compare(self._session, self._seen)
            return self._counted

    @contextmanager
    def writing(
        self, before: Callable[[Connection], object] = lambda _connection: None
    ) -> Iterator[tuple[Connection, dict[RowProblem | None, int]]]:
        """Open the transaction that stores the rows; its counts are final, because all other writers wait.

        What `before` does in it is compared with the rows.
        """
        with self._store.telling(), self._session.begin():
            self._number_good_ones(self._session)
        with self._store.writing_alone(self._session) as connection:
            dialects.lock_contacts(connection)
            before(connection)
            present = self._present(connection)
            # Check again only what changed since `examine`, usually nothing, to hold the lock briefly.
            if present != self._seen:
                self._counted = self._compare(connection, present)
                self._number_good_ones(connection)
            yield connection, self._counted

    def merge(self, connection: Connection, how: Enrolment) -> int:
        """Store the good rows as recipients, in the order of their lines; return how many.

        Ids of new contacts are assigned here, which saves a million lookups under the lock.
        Raises Busy when a contact was erased meanwhile.
        """
        e, contact, r = _entry.c, t.contact.c, t.recipient.c
        first_id = self._add_contacts(connection, how)
        count, first = connection.execute(select(func.count(), func.min(e.number)).select_from(_entry)).one()
        source = _entry.join(_staged, _staged.c.line == e.line)
        chosen: dict[str, ColumnElement[Any]] = {}
        if how.assignment is not None:
            ((pool, words_id),) = how.assignment.ids.items()
            senders = senders_in_order(connection, how.assignment)
            place = place_among(how.assignment, literal(pool), e.number - first)
            source = source.join(senders, senders.c.place == place)
            chosen = {
                "campaign_sender_id": senders.c.value,
                "assigned_reason": literal(how.assignment.reason, r.assigned_reason.type),
                "assignment_id": literal(words_id, r.assignment_id.type),
            }
        people = {
            "campaign_id": literal(how.campaign_id, r.campaign_id.type),
            "contact_id": func.coalesce(e.contact_id, e.rank + first_id),
            "state": literal(moves.born(how.transition)["state"], r.state.type),
            "address_hash": dialects.sha256(connection, _staged.c.canonical),
            **chosen,
            "fields": dialects.merged_fields(connection, contact.fields, _staged.c.fields),
            "timezone": func.nullif(_staged.c.timezone, ""),
            "next_step": literal(1),
            "next_at": literal(how.next_at, r.next_at.type),
            "added_by": literal(how.added_by, r.added_by.type),
            "added_for": literal(how.added_for, r.added_for.type),
            "enrolled_at": literal(how.now, r.enrolled_at.type),
        }
        known = (contact.id == e.contact_id) & contact.address.is_not(None)
        rows = (
            select(*people.values())
            .select_from(source.outerjoin(t.contact, known))
            .where(e.contact_id.is_(None) | contact.id.is_not(None))
            .order_by(e.number)
        )
        statement = insert(t.recipient).from_select(list(people), rows)
        imported = connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount
        if imported != count:
            raise Busy("import.raced", "a contact was erased meanwhile; nothing was imported", "run it again")
        return imported

    def _add_contacts(self, connection: Connection, how: Enrolment) -> int:
        """Store the people that are not contacts yet; return the number that makes their rank an id."""
        p, contact = _person.c, t.contact.c
        ranks = connection.execute(select(func.max(p.rank))).scalar_one()
        first_id = dialects.reserve_ids(connection, "contact", ranks or 0)
        contacts = {
            "id": p.rank + first_id,
            "address": p.address,
            "canonical": p.canonical,
            "domain": p.domain,
            "fields": literal("{}"),
            "owner_id": literal(how.owner_id, contact.owner_id.type),
            "created_at": literal(how.now, contact.created_at.type),
        }
        new_ones = select(*contacts.values()).where(p.problem.is_(None), p.contact_id.is_(None))
        connection.execute(insert(t.contact).from_select(list(contacts), new_ones.order_by(p.rank)))
        return first_id

    def problems(self) -> Generator[tuple[int, str, RowProblem]]:
        """Stream the rows that were not imported, by line."""
        p = _person.c
        query = select(p.line, p.address, p.problem).where(p.problem.is_not(None)).order_by(p.line)
        query = query.execution_options(yield_per=500)
        with self._session.begin(), self._session.execute(query) as rows:
            for row in rows:
                yield row.line, row.address, RowProblem(row.problem)

    def _sort_people(self, session: Connection) -> None:
        """Fill `person`, sorted by address, and mark the later lines of each address."""
        staged = _staged.c
        domain = dialects.domain_of(session, staged.canonical)
        sorted_rows = select(staged.line, domain, staged.canonical, staged.address)
        sorted_rows = sorted_rows.order_by(domain, staged.canonical, staged.line)
        columns = ["line", "domain", "canonical", "address"]
        session.execute(insert(_person).from_select(columns, sorted_rows))
        dialects.gather_statistics(session, "person")
        before = _person.alias("before")
        same = (before.c.rank == _person.c.rank - 1) & (before.c.canonical == _person.c.canonical)
        self._mark(session, RowProblem.TWICE, select(before.c.rank).where(same).exists())

    def _number_good_ones(self, session: Connection) -> None:
        p = _person.c
        good = select(p.line, p.rank, p.contact_id).where(p.problem.is_(None)).order_by(p.line)
        session.execute(delete(_entry))
        session.execute(insert(_entry).from_select(["line", "rank", "contact_id"], good))
        dialects.gather_statistics(session, "entry")

    def _compare(self, connection: Connection, present: "_Present") -> dict[RowProblem | None, int]:
        """Mark people that the database already knows; an earlier mark stays."""
        p = _person.c
        if present.stopped_count:
            hashes = select(t.stopped.c.address_hash).where(t.stopped.c.campaign_id == self._campaign_id)
            self._mark_hashed(connection, RowProblem.STOPPED, hashes)
        contact = t.contact.c
        same = (contact.domain == p.domain) & (contact.canonical == p.canonical)
        # Of several spellings that became contacts before they were compared, the one that is written here.
        exact = select(contact.id).where(same, contact.address == p.address).scalar_subquery()
        oldest = select(func.min(contact.id)).where(same).scalar_subquery()
        connection.execute(
            update(_person)
            .where(p.problem.is_(None), select(contact.id).where(same).exists())
            .values(contact_id=func.coalesce(exact, oldest))
        )
        enrolled = (
            select(t.recipient.c.id)
            .join(t.contact, contact.id == t.recipient.c.contact_id)
            .where(same, t.recipient.c.campaign_id == self._campaign_id)
        )
        self._mark(connection, RowProblem.PRESENT, p.contact_id.is_not(None), enrolled.exists())
        if present.suppression_count:
            self._mark(connection, RowProblem.SUPPRESSED, p.canonical.in_(suppressions.canonical_addresses()))
            domains = suppressions.covered_domains(connection, select(p.domain).distinct())
            self._mark(connection, RowProblem.SUPPRESSED, p.domain.in_(domains))
        if present.erased_count:
            self._mark_hashed(connection, RowProblem.SUPPRESSED, suppressions.erased_hashes())
        return self._counts(connection)

    def _counts(self, connection: Connection) -> dict[RowProblem | None, int]:
        p = _person.c
        total = connection.execute(select(func.count()).select_from(_person)).scalar_one()
        marked = select(p.problem, func.count()).where(p.problem.is_not(None)).group_by(p.problem)
        counts: dict[RowProblem | None, int] = {
            RowProblem(problem): count for problem, count in connection.execute(marked)
        }
        good = total - sum(counts.values())
        return counts if good == 0 else {**counts, None: good}

    def _mark(self, connection: Connection, problem: RowProblem, *where: ColumnElement[bool]) -> None:
        connection.execute(
            update(_person).where(_person.c.problem.is_(None), *where).values(problem=problem.value)
        )

    def _mark_hashed(self, connection: Connection, problem: RowProblem, hashes: Select[tuple[str]]) -> None:
        """Mark those of whom only a hash is left; hashes that are older than the canonical form too."""
        for column in (_person.c.canonical, _person.c.address, _person.c.domain):
            self._mark(connection, problem, dialects.sha256(connection, column).in_(hashes))

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
    """Counters that change when people are added, enrolled, suppressed or stopped."""

    recipient_count: int
    last_recipient: int | None
    last_contact: int | None
    suppression_count: int
    last_suppression: int | None
    erased_count: int
    stopped_count: int
