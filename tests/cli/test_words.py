"""What people read: plurals, zones, and which name they are told they meant. No process is needed for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mailrotate.cli.logged import line_of
from mailrotate.cli.output import Speech, as_json, counted, instant, localised, zoned
from mailrotate.core.services.access.naming import _alike
from mailrotate.core.store.events import LoggedEvent
from mailrotate.core.values.reasons import heard


def test_one_is_no_plural() -> None:
    assert counted(1, "message") == "1 message"
    assert counted(0, "message") == "0 messages"
    assert counted(1, "person", "people") == "1 person"
    assert counted(2, "person", "people") == "2 people"


def test_reasons_tell_instants_in_the_zone_of_people() -> None:
    reason = "due at 2026-07-01T09:00:00Z, read at 2026-12-01T09:00:00.5Z"
    assert (
        localised(reason, "Europe/Berlin")
        == "due at 2026-07-01 11:00:00 Europe/Berlin, read at 2026-12-01 10:00:00 Europe/Berlin"
    )
    assert localised("5.1.1 no such user", "Europe/Berlin") == "5.1.1 no such user"


@pytest.mark.parametrize("key", ["ends_at", "left_at"])
def test_the_log_tells_the_instants_of_an_event_in_the_zone_of_people(key: str) -> None:
    at = datetime(2026, 7, 1, 9, tzinfo=UTC)
    data = {key: "2026-07-01T10:00:00.341420+00:00"}
    event = LoggedEvent(1, at, "grace.extended", None, None, "anna@example.org", None, None, None, data)
    assert line_of(event, "Europe/Berlin").endswith(f"  {key.replace('_', ' ')}: 2026-07-01 12:00:00")


def test_what_happened_is_told_at_its_second_and_what_is_permitted_not_before_its_own() -> None:
    at = datetime(2026, 7, 1, 9, 0, 0, 1, tzinfo=UTC)
    assert zoned(at, "UTC") == "2026-07-01 09:00:00 UTC"
    assert zoned(at, "UTC", ahead=True) == "2026-07-01 09:00:01 UTC"
    assert instant(at, "Europe/Berlin", ahead=True) == "2026-07-01 11:00:01"


def test_a_script_can_order_what_happened_in_one_second() -> None:
    first = datetime(2026, 7, 1, 9, 0, 0, 250_000, tzinfo=UTC)
    sent = [as_json({"sent_at": first + timedelta(milliseconds=each)}) for each in range(3)]
    assert sent[0] == '{"sent_at": "2026-07-01T09:00:00.250000Z"}'
    assert sorted(set(sent)) == sent


def test_a_table_in_a_pipe_writes_its_zone_as_it_is_spelled(capsys: pytest.CaptureFixture[str]) -> None:
    Speech().table(("id", "when (Europe/Berlin)"), [("m_1", "2026-07-01 11:00:00")])
    assert capsys.readouterr().out == "ID   WHEN (Europe/Berlin)\nm_1  2026-07-01 11:00:00\n"


def test_h3_a_long_table_is_printed_while_its_rows_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []

    def rows() -> Iterator[tuple[str, str]]:
        for number in range(5_000):
            printed.append(capsys.readouterr().out)
            yield f"k_{number}", "kim@example.com"

    Speech().table(("id", "email"), rows())
    behind = [number - "".join(printed[: number + 1]).count("@") for number in range(0, 5_000, 100)]
    assert max(behind) <= 1_000
    lines = ("".join(printed) + capsys.readouterr().out).splitlines()
    assert len(lines) == 5_001
    assert lines[:2] == ["ID     EMAIL", "k_0    kim@example.com"]
    assert lines[-1] == "k_4999  kim@example.com"


def test_mailboxes_of_one_domain_are_not_alike_for_their_domain() -> None:
    def alike(one: str, other: str) -> bool:
        return _alike(one.partition("@")[::2], other.partition("@")[::2])

    assert alike("ana@example.org", "anna@example.org")
    assert alike("anna@exmaple.org", "anna@example.org")
    assert not alike("ana@example.org", "ben@example.org")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("auth: NO [AUTHENTICATIONFAILED] Authentication failed.", "login: Authentication failed."),
        ("auth: 535 5.7.8 not accepted", "login: 535 5.7.8 not accepted"),
        ("auth: login refused: imap takes a password", "login refused: imap takes a password"),
        (
            "connect: 127.0.0.1 port 2525: Connection refused",
            "127.0.0.1 port 2525: Connection refused",
        ),
        ("inbox: connect: timed out", "inbox: timed out"),
        ("permission: NO [NOPERM] not allowed", "not allowed"),
        ("mail: 550 5.7.1 sender refused", "550 5.7.1 sender refused"),
        ("auth: NO ", "login: NO "),
        ("the user is locked: auth: 535", "the user is locked: auth: 535"),
    ],
)
def test_what_a_server_said_is_told_without_the_codes_around_it(said: str, words: str) -> None:
    assert heard(said) == words
