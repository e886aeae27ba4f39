"""What people read: plurals, zones, and which name they are told they meant. No process is needed for it."""

import pytest

from mailrotate.cli.output import Speech, counted, localised
from mailrotate.core.services.access.naming import _alike


def test_one_is_no_plural() -> None:
    assert counted(1, "message") == "1 message"
    assert counted(0, "message") == "0 messages"
    assert counted(1, "person", "people") == "1 person"
    assert counted(2, "person", "people") == "2 people"


def test_reasons_tell_instants_in_the_zone_of_people() -> None:
    reason = "due at 2026-07-01T09:00:00Z, tried again at 2026-12-01T09:00:00.5Z"
    assert (
        localised(reason, "Europe/Berlin")
        == "due at 2026-07-01 11:00:00 Europe/Berlin, tried again at 2026-12-01 10:00:01 Europe/Berlin"
    )
    assert localised("5.1.1 no such user", "Europe/Berlin") == "5.1.1 no such user"


def test_a_table_in_a_pipe_writes_its_zone_as_it_is_spelled(capsys: pytest.CaptureFixture[str]) -> None:
    Speech().table(("id", "when (Europe/Berlin)"), [("m_1", "2026-07-01 11:00:00")])
    assert capsys.readouterr().out == "ID   WHEN (Europe/Berlin)\nm_1  2026-07-01 11:00:00\n"


def test_mailboxes_of_one_domain_are_not_alike_for_their_domain() -> None:
    def alike(one: str, other: str) -> bool:
        return _alike(one.partition("@")[::2], other.partition("@")[::2])

    assert alike("ana@example.org", "anna@example.org")
    assert alike("anna@exmaple.org", "anna@example.org")
    assert not alike("ana@example.org", "ben@example.org")
