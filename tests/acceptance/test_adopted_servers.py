"""F3 on PostgreSQL: an older or moved database sends nothing twice, and `db adopt` says what it found."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.old_workspace import PEOPLE, Old, prepare
from tests.support.console import Console
from tests.support.databases import PostgresqlServer
from tests.support.post_office import PostOffice
from tests.support.tls import TlsAuthority

pytestmark = pytest.mark.proof

_numbers = count(1)


class OnServer(Old):
    """The workspace in a database of a PostgreSQL server, which its operator dumps and restores."""

    server: PostgresqlServer

    @property
    def url(self) -> str:
        return self.console.env["MAILROTATE_DB"]

    def dump(self, file: Path) -> Path:
        self._tool("pg_dump", "--format=custom", f"--file={file}", self.url)
        return file

    def restore_in_place(self, file: Path) -> None:
        self._tool("pg_restore", "--clean", "--if-exists", f"--dbname={self.url}", str(file))

    def move_to_copy(self) -> None:
        """A copy of the database under another name, as on a second server."""
        name = f"copy_{next(_numbers)}"
        self.console.env["MAILROTATE_DB"] = self.server.make(
            name, self.url.partition("?")[0].rpartition("/")[2]
        )

    def _tool(self, name: str, *args: str) -> None:
        subprocess.run([self.server.tool(name), *args], check=True, capture_output=True)


@pytest.fixture
def old(
    post_office: PostOffice,
    authority: TlsAuthority,
    postgresql: PostgresqlServer,
    postgresql_template: str,
    tmp_path: Path,
) -> Iterator[OnServer]:
    name = f"adopted_{next(_numbers)}"
    url = postgresql.make(name, postgresql_template)
    console = Console(tmp_path, {"SSL_CERT_FILE": str(authority.ca_file), "MAILROTATE_DB": url})
    found = OnServer(console, post_office)
    found.server = postgresql
    prepare(found, post_office)
    # Two minutes pass for the program, and none for the server.
    console.run("settings", "set", "database_clock_tolerance=off")
    yield found
    postgresql.drop(name)


def test_f3_a_database_moved_to_another_server_is_adopted_by_one_command_that_says_what_it_found(
    old: OnServer,
) -> None:
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.move_to_copy()
    old.is_refused("workspace.elsewhere")
    asked = old.console.run("db", "adopt", check_status=7).stderr
    assert "this database last sent on another PostgreSQL server, or under another name" in asked
    assert "The sent mail of 2 mailboxes since " in asked
    assert "No other copy of it may send: stop those first." in asked
    told = old.console.run("db", "adopt", "--yes").stdout.splitlines()
    assert told[0].startswith("0 messages left since ")
    assert told[-1] == "the workspace sends again"
    assert old.console.run("db", "adopt").stdout == "nothing to adopt: this database sent last\n"
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0
    assert old.taken() == Counter(PEOPLE), "each once"


def test_f3_a_dump_restored_in_place_is_compared_before_it_sends(old: OnServer, tmp_path: Path) -> None:
    old.console.run("campaign", "start", "autumn")
    dump = old.dump(tmp_path / "before.dump")
    old.send()
    old.restore_in_place(dump)
    old.is_refused("workspace.behind")
    told = old.console.run("db", "adopt", "--yes").stdout.splitlines()
    assert told[0].startswith("4 messages left since ")
    assert told[0].endswith("; recorded as sent")
    assert told[1:] == ["the workspace sends again"]
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE), "each once"


def test_f3_a_dump_of_which_no_sent_mail_shows_what_left_waits_for_a_persons_word(
    old: OnServer, tmp_path: Path
) -> None:
    old.console.run("campaign", "start", "autumn")
    dump = old.dump(tmp_path / "before.dump")
    old.send(file_copies=False)
    old.restore_in_place(dump)
    done = old.console.run("db", "adopt", "--yes", check_status=8).stdout.splitlines()
    assert done[0].startswith("0 messages left since ")
    assert done[1] == "up to 4 more messages may have left; no sent mail shows them"
    assert done[2].startswith("nothing is sent. Mend what is named above and run this again, or, ")
    assert done[2].endswith("mailrotate db adopt --accept")
    old.is_refused("workspace.restored")
    assert old.console.run("db", "adopt", "--accept", "--yes", "--json").json()["released"]
    assert old.console.run("run", "--once", "--json").json()["sent"] == 4, "a person said that nothing left"


def test_f3_a_restored_dump_is_recognised_by_each_machine_that_sent_since(
    old: OnServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old.console.run("campaign", "start", "autumn")
    dump = old.dump(tmp_path / "before.dump")
    old.send()
    second = old.console.moved(tmp_path_factory.mktemp("second") / "home")
    (mark,) = second.home.glob("*.mark")
    mark.unlink()
    second.run("run", "--once")
    old.restore_in_place(dump)
    assert second.run("run", "--once", "--json", check_status=4).error()["code"] == "workspace.behind"
    old.is_refused("workspace.behind")
    assert second.run("db", "adopt", "--yes", "--json").json()["settled"] == 4
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0, "adopted once, for all machines"
    assert old.taken() == Counter(PEOPLE), "each once"
