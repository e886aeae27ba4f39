"""One mailbox, connected by command line to servers that do what a test says, and a campaign of two steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance.autumn import CAMPAIGN, MONDAY, people_file
from tests.support.console import Console
from tests.support.kept_imap import KeptImap
from tests.support.post_office import parsed
from tests.support.program import Completed
from tests.support.recording_smtp import RecordingSmtp

ANNA, PASSWORD = "anna@wire.example.org", "of-the-wire"
PEOPLE = ("pia@example.com", "quin@example.com", "rob@example.com")
# A little later than the follow-ups are due: the first messages took some seconds.
THURSDAY = MONDAY + timedelta(days=3, minutes=5)
FRIDAY = MONDAY + timedelta(days=4)
CONNECTED_AT = datetime(2031, 2, 28, 10, tzinfo=UTC)


@dataclass
class Wire:
    """Anna's mailbox; `smtp` takes everything, and `imap` holds her INBOX."""

    console: Console
    smtp: RecordingSmtp
    imap: KeptImap

    def run(self, at: datetime, *words: str, check_status: int | None = 0) -> Completed:
        return self.console.at(at).run(*words, check_status=check_status)

    def pass_at(self, at: datetime, check_status: int | None = 0) -> tuple[Any, list[str]]:
        """One pass: its report, and whom it wrote to."""
        before = len(self.smtp.received)
        report = self.run(at, "run", "--once", "--json", check_status=check_status)
        sent = [person for one in self.smtp.received[before:] for person in one.recipients]
        return (report.json() if report.stdout else None), sent

    def letter_to(self, person: str) -> EmailMessage:
        """The newest message that a person has got."""
        return next(parsed(one.raw) for one in self.smtp.received[::-1] if person in one.recipients)

    def reply(self, person: str, *lines: str, cites: str | None = None) -> str:
        """A person's answer; `lines` are further headers, `cites` the one that cites, if it is odd."""
        cited = f"In-Reply-To: {self.letter_to(person)['Message-ID']}" if cites is None else cites
        return mail(f"From: {person}", f"To: {ANNA}", "Subject: Re: A question", cited, *lines)

    def states(self, at: datetime) -> dict[str, str]:
        rows = self.run(at, "recipient", "list", "autumn", "--json").json()
        return {row["email"]: row["state"] for row in rows}

    def shown(self, at: datetime) -> Any:
        return self.run(at, "mailbox", "show", ANNA, "--json").json()

    def actions(self, at: datetime) -> list[str]:
        return [row["action"] for row in self.run(at, "log", "--json").json()]


def mail(*lines: str) -> str:
    return "\r\n".join([*lines, "Date: Mon, 03 Mar 2031 09:30:00 +0000", "", "Thank you."])


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Connected, and the campaign's first messages were sent on Monday; only ever copied."""
    console = Console(tmp_path_factory.mktemp("wire"))
    with RecordingSmtp({ANNA: PASSWORD}, security=Security.NONE) as smtp, KeptImap() as imap:
        made = Wire(console, smtp, imap)
        servers = ("--smtp", f"localhost:{smtp.port}", "--imap", f"localhost:{imap.port}")
        before = console.at(CONNECTED_AT)
        options = ("--password-stdin", *servers, "--security", "none", "--gap", "0s")
        before.run("mailbox", "connect", ANNA, *options, input=PASSWORD)
        before.run("mailbox", "set", ANNA, "--sent-copy", "off")
        (console.home / "autumn.toml").write_text(CAMPAIGN)
        before.run("campaign", "create", "autumn.toml", "--from", ANNA)
        before.run("recipient", "import", "autumn", "-", input=people_file([*PEOPLE]))
        before.run("campaign", "start", "autumn")
        assert sorted(made.pass_at(MONDAY)[1]) == sorted(PEOPLE)
        yield made


@pytest.fixture
def wire(written: Wire, tmp_path: Path) -> Wire:
    """A copy of that home, on the same servers."""
    written.imap.reset()
    del written.smtp.received[len(PEOPLE) :]
    return replace(written, console=written.console.moved(tmp_path))
