"""F3: what people asked for after a backup was made is still heeded after it is restored."""

from collections import Counter

import pytest

from tests.acceptance.old_workspace import PEOPLE, Old

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("wish", [PEOPLE[0], "example.com"])
def test_f3_a_restore_carries_over_the_suppressions_of_the_present_database(old: Old, wish: str) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("db", "backup", "backup.db")
    old.console.run("suppression", "add", wish, "--yes")
    old.console.run("db", "restore", "backup.db", "--yes")
    assert wish in old.console.run("suppression", "export").stdout
    old.console.run("db", "adopt", "--yes")
    old.console.run("run", "--once")
    spared = PEOPLE if wish == "example.com" else [wish]
    assert old.taken() == Counter(person for person in PEOPLE if person not in spared)


def test_f3_a_suppression_that_the_present_database_lifted_is_back_after_a_restore(old: Old) -> None:
    """The backup's own wishes count too: in doubt nobody is written to."""
    old.console.run("campaign", "start", "autumn")
    old.console.run("suppression", "add", PEOPLE[0], "--yes")
    old.console.run("db", "backup", "backup.db")
    old.console.run("suppression", "remove", PEOPLE[0], "--yes", check_status=None)
    old.console.run("db", "restore", "backup.db", "--yes")
    old.console.run("db", "adopt", "--yes")
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE[1:])
