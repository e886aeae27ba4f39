"""The rows of an import: cleaned, checked against the needs of the campaign, ready for staging (D1, D8).

A field that a row lacks may be the contact's own. Blank is missing: a blank cell hides nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring
from typing import NamedTuple, Protocol

from mailrotate.core.rules.addresses import read_address
from mailrotate.core.rules.text import clean_value, clean_values
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.services.context import Context
from mailrotate.core.store.people import contacts
from mailrotate.core.store.people.staging import StagedRow
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.delivery_window import check_zone
from mailrotate.core.values.errors import BadInput

ZONE_FIELD = "timezone"
# Showing progress costs more than reading a row.
_ROWS_BETWEEN_NEWS = 10_000
# The contacts of so many rows are looked up by one query.
_ROWS_AT_ONCE = 500
# Google Contacts writes all addresses of one label into one cell.
_BETWEEN_ADDRESSES = " ::: "


class Unreadable(Protocol):
    """A record that its reader could not parse."""

    @property
    def line(self) -> int: ...

    @property
    def problem(self) -> str: ...

    @property
    def email(self) -> str | None: ...


class Records(Protocol):
    """The records of a file while it is read: the cells of each, with the line it starts on."""

    columns: tuple[str, ...]
    email_index: int

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Unreadable]: ...


@dataclass(frozen=True)
class RowTrouble:
    """A rejected row and the reason."""

    line: int
    email: str | None
    problem: str


class Aside(Protocol):
    """Collects bad rows, in the order of their lines, until the report is written."""

    count: int

    def add(self, trouble: RowTrouble) -> None: ...

    def __iter__(self) -> Iterator[RowTrouble]: ...


@dataclass(frozen=True)
class Demands:
    """What a campaign requires of every row."""

    needs: TextNeeds
    own_zone: bool
    version: int

    @property
    def fields(self) -> list[str]:
        return sorted(self.needs.fields)

    def columns_lacking(self, columns: Sequence[str]) -> list[str]:
        """List the columns that every row needs and a file lacks, unless the contact has the field."""
        zone = (ZONE_FIELD,) if self.own_zone else ()
        return [wanted for wanted in (*self.fields, *zone) if wanted not in columns]


class _Row(NamedTuple):
    """A row with a valid address; `as_json` are its fields where none is blank."""

    line: int
    address: str
    canonical: str
    fields: Mapping[str, str]
    as_json: str | None


class PeopleRows:
    """Turns records into rows for staging, and reports bad ones.

    `several_addresses` counts the rows with several addresses in one cell, of which the first is read.
    """

    def __init__(
        self, context: Context, demands: Demands, aside: Aside, progress: Callable[[int], None]
    ) -> None:
        self.demands = demands
        self.aside = aside
        self._context = context
        self._progress = progress
        self._zones: dict[str, str] = {}
        self.several_addresses = 0

    def of_file(self, records: Records) -> Iterator[StagedRow]:
        """Yield the rows of a file."""
        return self._checked(self._read_file(records))

    def of_people(self, people: Iterable[tuple[str, Mapping[str, str]]]) -> Iterator[StagedRow]:
        """Yield rows for people whose fields are known by name, numbered from 1."""
        return self._checked(
            _row(line, email, {name: clean_value(value) for name, value in fields.items()}, None)
            for line, (email, fields) in enumerate(people, start=1)
        )

    def _read_file(self, records: Records) -> Iterator[_Row | RowTrouble]:
        columns, email = records.columns, records.email_index
        names = columns[:email] + columns[email + 1 :]
        # A file may have a million lines: what can be prepared is.
        pattern = _pattern(names)
        for count, record in enumerate(records, start=1):
            if count % _ROWS_BETWEEN_NEWS == 0:
                self._progress(count)
            if not isinstance(record, tuple):
                yield RowTrouble(record.line, record.email, record.problem)
                continue
            line, written = record
            cells = clean_values(written)
            address = cells.pop(email)
            complete = pattern % tuple(map(encode_basestring, cells)) if all(cells) else None
            row = _row(line, address, dict(zip(names, cells, strict=True)), complete)
            if _BETWEEN_ADDRESSES in address and isinstance(row, _Row):
                self.several_addresses += 1
            yield row

    def _checked(self, rows: Iterator[_Row | RowTrouble]) -> Iterator[StagedRow]:
        with self._context.store.reading() as connection:
            have_fields = contacts.have_fields(connection)
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            known: Mapping[str, Mapping[str, str]] = {}
            if have_fields:
                with self._context.store.reading() as connection:
                    canonical = [row.canonical for row in some if isinstance(row, _Row)]
                    known = contacts.fields_of(connection, canonical)
            for row in some:
                found = self._check(row, known.get(row.canonical)) if isinstance(row, _Row) else row
                if isinstance(found, RowTrouble):
                    self.aside.add(found)
                else:
                    yield found

    def _check(self, row: _Row, known: Mapping[str, str] | None) -> StagedRow | RowTrouble:
        """Check a row with the fields of its contact below its own, as the claim will find them."""
        needs, fields = self.demands.needs, row.fields
        if known is not None:
            fields = {**known, **{name: value for name, value in fields.items() if value}}
        if max(map(len, fields.values()), default=0) > needs.longest_plain_value or not all(
            map(fields.get, needs.fields)
        ):
            problem = needs.problem(row.address, fields)
            if problem is not None:
                return RowTrouble(row.line, row.address, problem)
        timezone = ""
        if self.demands.own_zone:
            name = clean_value(fields.get(ZONE_FIELD, ""))
            timezone = self._zone(name)
            if not timezone:
                said = f"there is no time zone '{name[:40]}'" if name else f"has no {ZONE_FIELD}"
                return RowTrouble(row.line, row.address, said)
        as_json = row.as_json
        if as_json is None:
            own = {name: value for name, value in row.fields.items() if value}
            as_json = json.dumps(own, ensure_ascii=False)
        return row.line, row.address, row.canonical, as_json, timezone

    def _zone(self, name: str) -> str:
        """Return the zone as it is kept, '' for one that does not exist."""
        if name not in self._zones:
            try:
                self._zones[name] = check_zone(name)
            except BadInput:
                self._zones[name] = ""
        return self._zones[name]


def _row(line: int, email: str, fields: Mapping[str, str], as_json: str | None) -> _Row | RowTrouble:
    first, _, _ = email.partition(_BETWEEN_ADDRESSES)
    try:
        address = read_address(first)
    except BadInput as mistake:
        return RowTrouble(line, email, mistake.message)
    return _Row(line, address, canonical_address(address), fields, as_json)


def _pattern(names: Sequence[str]) -> str:
    """A JSON object of these keys with a `%s` for each value: faster than encoding each row."""
    pairs = (encode_basestring(name).replace("%", "%%") + ": %s" for name in names)
    return "{" + ", ".join(pairs) + "}"
