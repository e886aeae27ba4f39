"""F3: which database may send, by the mark that it knows and the one that this machine knows."""

import pytest

from mailrotate.core.rules.suspicion import Strangeness, judge
from mailrotate.core.values.lineage import NO_PASS, DatabaseMark, OutsideMark

HERE = OutsideMark("here", ("p2",), 10)
ELSEWHERE, BEHIND = Strangeness.ELSEWHERE, Strangeness.BEHIND


@pytest.mark.parametrize(
    ("database", "outside", "verdict"),
    [
        (DatabaseMark(10, "here", "p2"), HERE, None),
        (DatabaseMark(), None, None),
        # Killed between the commit of a mark and its number outside.
        (DatabaseMark(11, "here", "p2"), HERE, None),
        # Killed while a pass began: the file knows both.
        (DatabaseMark(10, "here", "p1"), OutsideMark("here", ("p1", "p2"), 10), None),
        (DatabaseMark(0, None, None), OutsideMark("here", (NO_PASS, "p1"), 0), None),
        # A copy from within the pass: only the number tells.
        (DatabaseMark(9, "here", "p2"), HERE, BEHIND),
        # A power loss took the numbers of the pass from the file: only the pass tells.
        (DatabaseMark(10, "here", "p1"), HERE, BEHIND),
        (DatabaseMark(12, "here", "p1"), HERE, BEHIND),
        (DatabaseMark(10, "there", "p2"), HERE, ELSEWHERE),
        (DatabaseMark(10, "here", "p2"), None, ELSEWHERE),
        # From before the database knew marks.
        (DatabaseMark(0, None, None), HERE, BEHIND),
    ],
)
def test_f3_a_sqlite_database_is_judged_by_its_home_its_number_and_its_pass(
    database: DatabaseMark, outside: OutsideMark | None, verdict: Strangeness | None
) -> None:
    found = judge(database, outside, server=None)
    assert (None if found is None else found.strangeness) == verdict


@pytest.mark.parametrize(
    ("database", "outside", "verdict"),
    [
        # Another machine sends on the same server: nothing special.
        (DatabaseMark(10, "server/1"), None, None),
        (DatabaseMark(30, "server/1"), HERE, None),
        # A dump that was restored in place, and one that was restored elsewhere.
        (DatabaseMark(9, "server/1"), HERE, BEHIND),
        (DatabaseMark(30, "server/2"), HERE, ELSEWHERE),
    ],
)
def test_f3_a_postgresql_database_is_judged_by_its_server_and_its_number(
    database: DatabaseMark, outside: OutsideMark | None, verdict: Strangeness | None
) -> None:
    found = judge(database, outside, server="server/1")
    assert (None if found is None else found.strangeness) == verdict


def test_f3_the_number_says_how_many_marks_are_missing() -> None:
    found = judge(DatabaseMark(6, "here", "p2"), HERE, server=None)
    assert found is not None
    assert found.missing == 4


def test_f3_a_database_that_sent_elsewhere_says_where_and_how_many_marks_it_misses() -> None:
    machine = judge(DatabaseMark(10, "there", "p2"), HERE, server=None)
    server = judge(DatabaseMark(6, "server/2"), HERE, server="server/1")
    assert machine is not None
    assert server is not None
    assert machine.reason.startswith("this database last sent from another machine")
    assert server.reason == "this database last sent on another PostgreSQL server, or under another name"
    assert (machine.missing, server.missing) == (0, 4)
