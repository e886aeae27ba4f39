"""The scene that the stories of a connection's life begin with, and what they do in it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from tests.acceptance import autumn
from tests.support.console import Console
from tests.support.post_office import PostOffice, sent_by
from tests.support.program import Completed
from tests.support.scripted_smtp import Move, ScriptedSmtp

# The admin, and the three users of the mailboxes. Nobody here can be reached through these mailboxes.
ROOT, UNA, MAX, ZOE = (f"{name}@home.example.net" for name in ("root", "una", "max", "zoe"))
ANNA, BEN, CLEO, NEU = (f"{name}@life.example.org" for name in ("anna", "ben", "cleo", "neu"))
USER_OF = {ANNA: UNA, BEN: MAX, CLEO: ZOE, NEU: UNA}
SOLO = ("solo0@life.example.com", "solo1@life.example.com")
PASSWORD = "of-the-life"
OF_ANNA = f"FROM connection JOIN mailbox ON mailbox.id = mailbox_id WHERE address = '{ANNA}'"

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2031, 3, 3, 12, tzinfo=UTC)
# Two days and a minute after the first messages, with no pass between.
LATER = MONDAY + 2 * DAY + MINUTE
# A minute after an hour that began then.
AFTER = LATER + HOUR + MINUTE
INTRO = autumn.ALWAYS.replace('"autumn"', '"intro"').replace('"3d"', '"2d"')


class Scene:
    """Anna and Ben in the rotation `intro` of Una with ten people; Anna has written to three of her five."""

    def __init__(
        self,
        console: Console,
        office: PostOffice,
        user_of: Mapping[str, str] = USER_OF,
    ) -> None:
        self.console = console
        self.office = office
        self.user_of = user_of

    # --- typing

    def at(
        self,
        instant: datetime,
        *args: str,
        by: str = ROOT,
        status: int | None = 0,
        standing: bool = False,
        typed: str = PASSWORD,
    ) -> Completed:
        console = self.console.at(instant, standing_still=standing)
        return console.run(*args, "--as", by, input=typed, check_status=status)

    def json(self, instant: datetime, *args: str, by: str = ROOT, status: int | None = 0) -> Any:
        return self.at(instant, *args, "--json", by=by, status=status).json()

    def refused(self, instant: datetime, *args: str, status: int, by: str = ROOT) -> Any:
        return self.at(instant, *args, "--json", by=by, status=status).error()

    def connect(
        self,
        instant: datetime,
        mailbox: str,
        *more: str,
        gap: str | None = "0s",
        status: int | None = 0,
        standing: bool = False,
    ) -> Completed:
        host = "127.0.0.1" if mailbox == ANNA else "localhost"
        where = ("--smtp", f"{host}:{self.office.smtp.port}", "--imap", self.office.imap_server)
        how = ("--security", self.office.security, "--password-stdin", "--for", self.user_of[mailbox])
        words = ("mailbox", "connect", mailbox, *where, *how, *(("--gap", gap) if gap else ()), *more)
        return self.at(instant, *words, status=status, standing=standing)

    def reconnect(self, instant: datetime, mailbox: str, *more: str, status: int | None = 0) -> Completed:
        return self.at(instant, "mailbox", "reconnect", mailbox, "--password-stdin", *more, status=status)

    def disconnect(self, mailbox: str = ANNA, instant: datetime = LATER) -> None:
        self.at(instant, "mailbox", "disconnect", mailbox, "--yes", standing=True)

    def fail(self, mailbox: str, instant: datetime = LATER) -> None:
        """Refuse the mailbox's login (535), and let a test see it."""
        self.refuse_login(mailbox)
        self.at(instant, "mailbox", "test", mailbox, status=5)

    @contextmanager
    def misbehaving(
        self, mailbox: str, script: Mapping[str, Move | Sequence[Move]]
    ) -> Iterator[ScriptedSmtp]:
        """Let the mailbox send through a server that follows a script."""
        with ScriptedSmtp(security=self.office.security) as server:
            host = f"127.0.0.1:{server.port}"
            self.at(MONDAY + HOUR, "mailbox", "set", mailbox, "--smtp", host)
            server.follow(script)
            yield server

    def refuse_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = "another password"

    def take_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = PASSWORD

    def come_back(self, instant: datetime, mailbox: str, *more: str) -> Any:
        """Let the login work again and reconnect the mailbox; return what the command says."""
        self.take_login(mailbox)
        return self.reconnect(instant, mailbox, *more, "--json").json()

    def enrol(self, instant: datetime, campaign: str, people: Sequence[str]) -> Any:
        for person in people:
            self.office.add(person)
        rows = autumn.people_file(list(people))
        return self.at(instant, "recipient", "import", campaign, "-", "--json", typed=rows, by=UNA).json()

    def plan(self, instant: datetime = LATER) -> list[Any]:
        """Let a pass plan Anna's messages without sending them; return them."""
        self.at(instant, "mailbox", "pause", ANNA)
        self.passes(instant)
        self.at(instant, "mailbox", "resume", ANNA)
        return self.outbox(instant, "scheduled")

    def share(self, instant: datetime, mailbox: str) -> None:
        """Let Una send from the mailbox if it is another user's."""
        if self.user_of[mailbox] != UNA:
            self.at(instant, "mailbox", "set", mailbox, "--access", "shared")
            self.at(instant, "mailbox", "share", "add", mailbox, UNA)

    def start_campaign(
        self, instant: datetime, name: str, people: Sequence[str], *senders: str, text: str = INTRO
    ) -> None:
        (self.console.home / f"{name}.toml").write_text(text.replace('"intro"', f'"{name}"'))
        given = [word for sender in senders for word in ("--from", sender)]
        self.at(instant, "campaign", "create", f"{name}.toml", *given, by=UNA)
        self.enrol(instant, name, people)
        self.at(instant, "campaign", "start", name, by=UNA)

    # --- looking

    def passes(self, instant: datetime, status: int | None = 0) -> tuple[Any, dict[str, list[str]]]:
        """Run one pass; return its report, and the recipients that each mailbox wrote to."""
        before = len(self.office.smtp.received)
        report = self.json(instant, "run", "--once", status=status)
        found = sent_by(self.office.smtp.received[before:]).items()
        people = {mailbox: [one for one in to if "home.example.net" not in one] for mailbox, to in found}
        return report, {mailbox: to for mailbox, to in people.items() if to}

    def people(self, instant: datetime, campaign: str = "intro") -> dict[str, Any]:
        return {row["email"]: row for row in self.json(instant, "recipient", "list", campaign)}

    def of(self, mailbox: str, instant: datetime) -> dict[str, Any]:
        return {email: row for email, row in self.people(instant).items() if row["sender"] == mailbox}

    def contacted(self, instant: datetime = MONDAY + HOUR) -> list[str]:
        """The people that Anna has written to."""
        return [email for email, row in self.of(ANNA, instant).items() if row["sent"]]

    def waiting(self, instant: datetime = MONDAY + HOUR) -> list[str]:
        """The people of Anna that she has not written to yet."""
        return [email for email, row in self.of(ANNA, instant).items() if not row["sent"]]

    def states(self, instant: datetime, campaign: str = "intro") -> dict[str, int]:
        shown = self.json(instant, "campaign", "show", campaign)
        return {state: count for state, count in shown["recipients"].items() if count}

    def stopped(self, instant: datetime, campaign: str = "intro") -> set[str]:
        return {email for email, row in self.people(instant, campaign).items() if row["state"] == "stopped"}

    def pauses(self, instant: datetime, campaign: str = "intro") -> list[str]:
        found: list[str] = self.json(instant, "campaign", "show", campaign)["pause_reasons"]
        return found

    def outbox(self, instant: datetime, state: str, mailbox: str = ANNA) -> list[Any]:
        found: list[Any] = self.json(instant, "outbox", "list", "--state", state, "--mailbox", mailbox)
        return found

    def deadlines(self, instant: datetime) -> list[Any]:
        found: list[Any] = self.json(instant, "grace", "list")
        return found

    def execute(self, statement: str, *given: str) -> list[tuple[Any, ...]]:
        """Run SQL past the program; return its rows."""
        with closing(sqlite3.connect(self.console.home / "workspace.db")) as database, database:
            return database.execute(statement, given).fetchall()

    def letters(self, person: str) -> list[EmailMessage]:
        return self.office.inbox(person)

    def thread(self, person: str) -> tuple[EmailMessage, EmailMessage]:
        """This story's first message to a person and its newest one; all stories share the inboxes."""
        sent = self.json(LATER, "outbox", "list", "--state", "sent")
        ids = [row["message_id"] for row in sent if row["to"] == person]
        letters = {letter["Message-ID"]: letter for letter in self.letters(person)}
        return letters[ids[0]], letters[ids[-1]]
