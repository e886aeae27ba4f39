"""A workspace prepared by the commands that people type, of which each situation gets a copy."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.support.console import Console

PASSWORD = "open sesame"
CAMPAIGN = "autumn"
ADMIN = "anna@example.org"
PLAN = f"""\
name = "{CAMPAIGN}"
window = {{ days = "mon-sun", hours = "00:00-24:00" }}

[[steps]]
subject = "A question"
text = "Hello {{{{ name }}}}, who looks after your mail?"
"""


@dataclass(frozen=True)
class Letter:
    """A row of the outbox as the database has it."""

    id: int
    mailbox: str
    to: str
    message_id: str
    state: str
    marked: bool


class Ground:
    """One workspace in a folder of its own."""

    def __init__(self, home: Path, env: dict[str, str] | None = None) -> None:
        self.home = home
        # What kills or stops a process starts one; what comes before and after runs in this process.
        self.program = Console(home, {"MAILROTATE_PASSWORD": PASSWORD, **(env or {})})
        self.database = home / "workspace.db"

    def connect(self, mailboxes: dict[str, str], imap: str, *options: str) -> None:
        """Each address on the SMTP server that it names."""
        self.program.run("init", "--email", ADMIN, "--name", "Anna Example")
        if len(mailboxes) > 2:
            self.program.run("slot", "add", "--user", ADMIN, "--count", str(len(mailboxes) - 2))
        for address, smtp in mailboxes.items():
            self.program.run(
                "mailbox", "connect", address, "--smtp", smtp, "--imap", imap, "--security", "none", *options
            )
            self.program.run("mailbox", "set", address, "--sent-copy", "off")

    def start_campaign(self, people: int, senders: Sequence[str]) -> None:
        (self.home / "plan.toml").write_text(PLAN)
        (self.home / "people.csv").write_text(
            "email,name\n" + "".join(f"person{n}@firm.example.com,Pia {n}\n" for n in range(people))
        )
        self.program.run("campaign", "create", "plan.toml")
        self.program.run("recipient", "import", CAMPAIGN, "people.csv")
        self.program.run(
            "campaign", "start", CAMPAIGN, *(word for one in senders for word in ("--from", one))
        )

    def copy(self, home: Path) -> "Ground":
        """The same workspace, as it is now, elsewhere."""
        home.mkdir()
        with closing(sqlite3.connect(self.database)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name in ("workspace.db", "workspace.key", *(path.name for path in self.home.glob("*.mark"))):
            shutil.copy2(self.home / name, home / name)
        return Ground(home)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.database, timeout=60)) as database:
            return database.execute(query).fetchall()

    def letters(self) -> list[Letter]:
        return [Letter(*row) for row in self.rows(LETTERS)]

    def states(self) -> Counter[str]:
        return Counter(letter.state for letter in self.letters())


class SharedGround(Ground):
    """A workspace on PostgreSQL, which several machines may share."""

    def __init__(self, home: Path, url: str) -> None:
        super().__init__(home, {"MAILROTATE_DB": url})
        self._url = url

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self._url, autocommit=True, application_name="proof") as database:
            # The queries are the proofs' own.
            return database.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]

    def end_sessions(self) -> None:
        """What a server does to clients whose machine it cannot reach any more."""
        self.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'mailrotate' AND datname = current_database()"
        )


LETTERS = """
SELECT m.id, b.address, m.to_address, m.message_id, m.state, m.marked_at IS NOT NULL
FROM message m JOIN mailbox b ON b.id = m.mailbox_id ORDER BY m.id
"""
