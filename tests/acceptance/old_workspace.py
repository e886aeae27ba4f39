"""A workspace with two mailboxes whose database is copied, lost, put back and moved."""

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.autumn import CAMPAIGN, people_file
from tests.support.console import Console
from tests.support.post_office import PostOffice
from tests.support.tls import TlsAuthority

_numbers = count(1)
PEOPLE = [f"old-{number}@example.com" for number in range(4)]
ALWAYS = CAMPAIGN.replace("mon-fri", "mon-sun").replace("09:00-17:00", "00:00-24:00")
DATABASE = ("workspace.db", "workspace.db-wal")


class Old:
    """The workspace with its person, and what its servers took."""

    def __init__(self, console: Console, post_office: PostOffice) -> None:
        self.console = console
        # Of this test alone: the servers are shared, and sent mail stays.
        number = next(_numbers)
        self.anna, self.ben, self.late = (
            f"{name}{number}@old.example.org" for name in ("anna", "ben", "late")
        )
        self._post_office = post_office
        self._before = len(post_office.smtp.received)

    def at(self, later: timedelta) -> Console:
        return self.console.at(datetime.now(UTC) + later)

    def taken(self) -> Counter[str]:
        """How often each person was written to."""
        received = self._post_office.smtp.received[self._before :]
        return Counter(person for one in received for person in one.recipients)

    def send(self, file_copies: bool = True) -> None:
        """Send to everybody; the server files no copies, so the program does it a minute later."""
        assert self.console.run("run", "--once", "--json").json()["sent"] == len(PEOPLE)
        if file_copies:
            self.console = self.at(timedelta(minutes=2))
            self.console.run("run", "--once")

    def put_back(self, folder: Path) -> None:
        """As a person does with `cp`."""
        for name in DATABASE:
            self.console.home.joinpath(name).unlink(missing_ok=True)
            if folder.joinpath(name).exists():
                shutil.copy(folder / name, self.console.home / name)

    def keep(self, folder: Path) -> Path:
        """A copy of the database's files as they are."""
        folder.mkdir()
        for name in DATABASE:
            if self.console.home.joinpath(name).exists():
                shutil.copy(self.console.home / name, folder / name)
        return folder

    def is_refused(self, code: str) -> None:
        told = self.console.run("run", "--once", "--json", check_status=4).error()
        assert (told["code"], "db adopt" in told["hint"]) == (code, True)
        seen = self.console.run("status", "--json").json()
        assert (seen["sending"], seen["obstacle"]["code"]) == (False, "restored")
        assert self.console.run("why", self.anna, "--json").json()["binding"] == "workspace"


def prepare(found: Old, post_office: PostOffice) -> None:
    """Two mailboxes, and a campaign with its recipients."""
    console = found.console
    for address in (found.anna, found.ben):
        post_office.connect(console, address, "of the old", "--gap", "0s")
    (console.home / "autumn.toml").write_text(ALWAYS)
    console.run("campaign", "create", "autumn.toml", "--from", found.anna, "--from", found.ben)
    console.run("recipient", "import", "autumn", "-", input=people_file(PEOPLE))


@pytest.fixture
def old(post_office: PostOffice, authority: TlsAuthority, home: Path) -> Old:
    found = Old(Console(home, {"SSL_CERT_FILE": str(authority.ca_file)}), post_office)
    prepare(found, post_office)
    return found
