"""The scene of the life of a connection: two senders of a rotation and ten people, by command line."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from tests.support.console import Console
from tests.support.post_office import PostOffice, sent_by
from tests.support.program import Completed

ROOT = "root@example.net"
PASSWORD = "of-the-life"
MONDAY = datetime(2031, 3, 3, 12, tzinfo=UTC)
# Two days and a minute after the first messages, with no pass between.
LATER = MONDAY + timedelta(days=2, minutes=1)
HOUR = timedelta(hours=1)
CAMPAIGN = """
name = "intro"
timezone = "UTC"
window = { days = "mon-sun", hours = "00:00-24:00" }
[[steps]]
subject = "A question for {{ first_name }}"
text = "Dear {{ first_name }}, may I ask you something?"
[[steps]]
delay = "2d"
text = "{{ first_name }}, did you see it?"
"""


def address(name: str) -> str:
    return f"{name}@life.example.org"


ANNA, BEN, CLEO = map(address, ("anna", "ben", "cleo"))


class Scene:
    """Anna and Ben in the rotation `intro` with ten people; Anna has written to three of her five."""

    def __init__(
        self, console: Console, office: PostOffice, letters_before: Mapping[str, int] | None = None
    ) -> None:
        self.console = console
        self.office = office
        # Other modules' scenes have written to the same people.
        self._letters_before = letters_before or {}

    def at(self, instant: datetime, *args: str, status: int | None = 0, standing: bool = False) -> Completed:
        console = self.console.at(instant, standing_still=standing)
        return console.run(*args, input=PASSWORD, check_status=status)

    def json(self, instant: datetime, *args: str, status: int | None = 0) -> Any:
        return self.at(instant, *args, "--json", status=status).json()

    def refused(self, instant: datetime, *args: str, status: int) -> Any:
        return self.at(instant, *args, "--json", status=status).error()

    def connect(self, instant: datetime, mailbox: str, *more: str, status: int | None = 0) -> Completed:
        where = (
            "--smtp", f"localhost:{self.office.smtp.port}", "--imap", self.office.imap_server,
            "--security", "tls", "--password-stdin", "--gap", "0s",
        )  # fmt: skip
        return self.at(instant, "mailbox", "connect", mailbox, *where, *more, status=status)

    def passes(self, instant: datetime, status: int | None = 0) -> tuple[Any, dict[str, list[str]]]:
        """One pass: its report, and whom each mailbox wrote to, without the notices to the user."""
        before = len(self.office.smtp.received)
        report = self.json(instant, "run", "--once", status=status)
        found = sent_by(self.office.smtp.received[before:]).items()
        people = {mailbox: [one for one in to if one != ROOT] for mailbox, to in found}
        return report, {mailbox: to for mailbox, to in people.items() if to}

    def people(self, instant: datetime, campaign: str = "intro") -> dict[str, Any]:
        return {row["email"]: row for row in self.json(instant, "recipient", "list", campaign)}

    def states(self, instant: datetime, campaign: str = "intro") -> dict[str, int]:
        shown = self.json(instant, "campaign", "show", campaign)
        return {state: count for state, count in shown["recipients"].items() if count}

    def pauses(self, instant: datetime, campaign: str = "intro") -> list[str]:
        found: list[str] = self.json(instant, "campaign", "show", campaign)["pause_reasons"]
        return found

    def of(self, mailbox: str, instant: datetime) -> dict[str, Any]:
        return {email: row for email, row in self.people(instant).items() if row["sender"] == mailbox}

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The workspace's database, for a state that no command makes quickly."""
        with closing(sqlite3.connect(self.console.home / "workspace.db")) as connection, connection:
            yield connection

    def refuse_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = "another password"

    def take_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = PASSWORD

    def fail(self, mailbox: str, instant: datetime) -> None:
        """The login is refused (535), and a test says so."""
        self.refuse_login(mailbox)
        self.at(instant, "mailbox", "test", mailbox, status=5)

    def thread(self, person: str) -> tuple[EmailMessage, EmailMessage]:
        """The scene's first message to a person, which all stories share, and the newest one."""
        letters = self.letters(person)
        return letters[0], letters[-1]

    def letters(self, person: str) -> list[EmailMessage]:
        return self.office.inbox(person)[self._letters_before.get(person, 0) :]
