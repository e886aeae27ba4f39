"""Ten mailboxes and a campaign over them, ready to be sent by one pass."""

import shutil
import smtplib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, literal, select, update

from benchmarks.place import PASSWORD, Place
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import open_store
from mailrotate.sandbox.server import Sandbox, SandboxInfo

MAILBOX_COUNT = 10
STEP_SUBJECT = "A question about {{ company }}"
STEP_BODY = """Hello {{ first_name | default("there") }},

I saw what **{{ company }}** does in {{ city }}, and have one question about it.

- Who looks after the mail that you send?
- Would a second pair of eyes help?

You can read [what we do](https://example.org/about) first, if you like. We keep it short, because we would
rather hear from you than write about ourselves.

Kind regards
"""


@dataclass(frozen=True)
class Fleet:
    """A prepared workspace; `copy` gives a fresh one to spend."""

    here: Place
    addresses: Sequence[str]

    def copy(self, name: str) -> Path | str:
        if self.here.server is not None:
            return self.here.server.make(name, "bench")
        target = self.here.folder / name
        with sqlite3.connect(self.here.database) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(self.here.database, target)
        return target

    def environment(self, database: Path | str) -> dict[str, str]:
        """For a program on one of the copies, which are one workspace: each has a mark of its own."""
        name = Path(str(database).partition("?")[0]).name
        marks = self.here.folder / f"{name}.marks"
        marks.mkdir(exist_ok=True)
        for mark in self.here.folder.glob("*.mark"):
            shutil.copy(mark, marks)
        own = {"MAILROTATE_DB": str(database), "MAILROTATE_MARK_FOLDER": str(marks)}
        return {**self.here.environment, **own}


def open_inboxes(info: SandboxInfo, addresses: Sequence[str]) -> None:
    """The sandbox makes a mailbox for whoever gets mail."""
    with smtplib.SMTP(info.smtp.host, info.smtp.port) as server:
        server.login(info.senders[0], info.password)
        for address in addresses:
            server.sendmail(info.senders[0], [address], b"Subject: hello\r\n\r\nhello\r\n")


def start_sandbox() -> Sandbox:
    return Sandbox(password=PASSWORD)


def connect(here: Place, info: SandboxInfo, smtp_ports: Sequence[int]) -> list[str]:
    """A mailbox for each port, without a gap; more slots than a plan includes are put in by hand."""
    addresses = [f"sender{n}@example.org" for n in range(len(smtp_ports))]
    open_inboxes(info, addresses)
    here.run("init", "--email", "anna@example.org", "--name", "Anna Example")
    store = open_store(here.environment["MAILROTATE_DB"])
    with store.writing() as connection:
        connection.execute(update(t.plan).values(daily_cap=1_000_000))
        slot = select(t.user.c.id, literal("included"), t.user.c.created_at)
        for _ in smtp_ports:
            connection.execute(insert(t.slot).from_select(["user_id", "kind", "created_at"], slot))
    store.close()
    for address, port in zip(addresses, smtp_ports, strict=True):
        here.run(
            "mailbox", "connect", address, "--smtp", f"127.0.0.1:{port}",
            "--imap", f"{info.imap.host}:{info.imap.port}", "--security", "none",
        )  # fmt: skip
        here.run("mailbox", "set", address, "--gap", "0s", "--sent-copy", "off")
    return addresses


def start_campaign(here: Place, name: str, addresses: Sequence[str], people: Path) -> None:
    plan = here.folder / f"{name}.toml"
    (here.folder / "body.md").write_text(STEP_BODY, encoding="utf-8")
    plan.write_text(
        f'name = "{name}"\nwindow = {{ days = "mon-sun", hours = "00:00-24:00" }}\n'
        f'[[steps]]\nsubject = "{STEP_SUBJECT}"\nbody = "body.md"\n',
        encoding="utf-8",
    )
    senders = [word for address in addresses for word in ("--from", address)]
    here.run("campaign", "create", str(plan), *senders)
    here.run("recipient", "import", name, str(people))
    here.run("campaign", "start", name)


def write_people(path: Path, count: int, first: int = 0) -> Path:
    """A CSV of `count` people whom nothing refuses."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("email,first_name,company,city\n")
        for n in range(first, first + count):
            file.write(f"person{n}@firm{n % 997}.example.com,Pia{n},Firm {n % 997} & Sons,Z\u00fcrich\n")
    return path
