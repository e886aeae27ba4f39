"""The world in which the machine plays: one workspace, its people and its clock; every command is typed.

The scene, made once: three users with a mailbox each, a rotation of each kind over them and a campaign with a
single sender. A fourth address can be connected. Each example plays on a copy.

A pass works one lane after another, so that a seed plays the same days again. `tests/proof` has lanes and
runners that work at the same time.
"""

import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from mailrotate import runner
from mailrotate.app import App, load_settings
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import assigning, obstacles
from mailrotate.core.services.effects.door import looking
from mailrotate.core.services.views import explaining
from mailrotate.core.services.views.explaining import Explanation
from mailrotate.core.store import campaigns, workspaces
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.people import recipients
from mailrotate.core.values.spread import EVERYONE
from tests.model.facts import Facts, Person, Pool, Recipient, look
from tests.model.post import Post, Taken
from tests.support.console import Console
from tests.support.databases import PostgresqlServer
from tests.support.memory import folder_in_memory
from tests.support.program import Completed

ROOT, UNA, VIC = (f"{name}@example.net" for name in ("root", "una", "vic"))
ANNA, BEN, CLEO, DORA = (f"{name}@rota.example.org" for name in ("anna", "ben", "cleo", "dora"))
USERS = {ANNA: ROOT, BEN: UNA, CLEO: VIC, DORA: ROOT}
PEOPLE = tuple(f"p{number}@rota.example.com" for number in range(14))
MONDAY = datetime(2031, 3, 3, 12, tzinfo=UTC)
# The flags by which each campaign is created, and its first recipients.
CAMPAIGNS = {
    "intro": (("--from", ANNA, "--from", BEN, "--from", CLEO), PEOPLE[:4]),
    "duo": (("--from", ANNA, "--from", BEN, "--weight", f"{ANNA}=2", "--weight", f"{BEN}=1"), PEOPLE[3:6]),
    "room": (("--from", BEN, "--from", CLEO, "--rotate", "capacity"), PEOPLE[6:8]),
    "solo": (("--from", ANNA), PEOPLE[8:9]),
    "team": (("--from", ANNA, "--from", BEN, "--from", CLEO, "--team"), PEOPLE[11:12]),
}
# Imported after the first messages left.
NOT_WRITTEN_TO = PEOPLE[9:11]
# So many new recipients are offered to the rotations.
_OFFERED = 6
_PASSWORD = "of-the-model"
# The exit status of a process that died in the middle of a command.
_DIED = 9
_numbers = count(1)


@dataclass(frozen=True)
class Death:
    """A process dies before its transaction of this number begins, or right after it was committed."""

    transaction: int
    after_commit: bool


class _Undone(Exception):
    """Ends a transaction without its changes."""


@dataclass
class World:
    """One copy of the scene. `death` comes over the next command."""

    home: Path
    console: Console
    drop: Callable[[], None]
    post: Post
    now: datetime = MONDAY
    death: Death | None = None
    typed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self._opened()

    def _opened(self) -> Store:
        return open_store(self.console.env["MAILROTATE_DB"])

    def look(self) -> Facts:
        return look(self.store)

    def type(self, *words: str, who: str = ROOT, input: str = _PASSWORD) -> Completed | None:
        """Type one command; None if its process died before its end."""
        self.typed.append(f"{self.now:%m-%d %H:%M:%S} {' '.join(words)}")
        console = self.console.at(self.now, standing_still=True)
        words = ("--as", who, *words)
        with self.post.serving(), patch.object(runner, "_MOST_LANES_AT_ONCE", 1):
            death, self.death = self.death, None
            if death is not None:
                ran = self._dying(death, lambda: console.run(*words, input=input, check_status=None))
            else:
                ran = console.run(*words, input=input, check_status=None)
        self.typed[-1] += " died" if ran is None else f" {ran.status}"
        return ran

    def _dying(self, death: Death, run: Callable[[], Completed]) -> Completed | None:
        """Run in a process of its own, which ends as by a kill; None if it did."""
        self.store.close()
        result = self.home / "result.json"
        with warnings.catch_warnings():
            # Python warns of threads: none of them goes on in the child, which runs one command and ends.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _run_and_end(death, run, result)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, _DIED), (
            result.read_text() if result.exists() else f"the child ended with {status}"
        )
        if status == _DIED:
            return None
        code, out, err = result.read_text().split("\0")
        return Completed(int(code), out, err)

    def why(self, people: dict[Person, Recipient]) -> dict[Person, Explanation]:
        """What `why r_17` says of each to the admin. One look for all saves most of the time."""
        with looking(self.context, self.now) as connection:
            look = obstacles.prospects(self.context, connection, self.now)
            found = {person: recipients.by_id(connection, one.id) for person, one in people.items()}
            return {
                person: explaining._of_person(look, look.campaign(one.campaign_id), one)
                for person, one in found.items()
                if one is not None
            }

    def turns(self, facts: Facts) -> dict[Pool, list[int]]:
        """The senders that the next new recipients would get, in order; nothing is changed."""
        found: dict[Pool, list[int]] = {}
        pools = [(name, adder) for name, one in facts.campaigns.items() for adder in _adders_of(one.rotation)]
        with suppress(_Undone), self.store.writing() as connection:
            for name, adder in pools:
                user = None if adder is None else workspaces.user_by_email(connection, adder)
                pool = EVERYONE if user is None else user.id
                campaign = campaigns.find(connection, name)
                assert campaign is not None
                made = assigning.assignment_for(connection, campaign, {pool: _OFFERED}, self.now)
                spread = None if made is None else made.spreads[pool]
                ranks = range(0 if spread is None else _OFFERED)
                found[name, adder] = [] if spread is None else [spread.sender_of(rank) for rank in ranks]
            raise _Undone
        return found

    @property
    def context(self) -> Context:
        """Of a process that only looks."""
        if "_context" not in self.__dict__:
            with patch.dict(os.environ, self.console.env, clear=True):
                app = App(load_settings(None, ROOT), lambda: self.now)
                # One engine for the whole world, because it keeps its compiled statements.
                app.__dict__["database"] = self.store
                self._context = app.context
        return self._context

    def restart(self) -> None:
        """Forget everything that is not in the database or in a file."""
        self.__dict__.pop("_context", None)
        self.store.close()
        self.store = self._opened()

    def close(self) -> None:
        self.store.close()
        self.drop()
        shutil.rmtree(self.home)


def _adders_of(rotation: str | None) -> tuple[str | None, ...]:
    """The users whose recipients are spread on their own; a rotation by capacity has no turns."""
    if rotation in (None, "capacity"):
        return ()
    return (ROOT, UNA, VIC) if rotation == "adder" else (None,)


def _run_and_end(death: Death, run: Callable[[], Completed], result: Path) -> None:
    try:
        with _mortal(death):
            ran = run()
        result.write_text("\0".join((str(ran.status), ran.stdout, ran.stderr)))
    except BaseException:  # noqa: BLE001  the process ends here, whatever happened
        result.write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


@contextmanager
def _mortal(death: Death) -> Iterator[None]:
    """Count the transactions of this process, whichever thread has them; it dies at the one that is named."""
    begun, committed = count(1), count(1)

    def mortal(usual: Any) -> Any:
        @contextmanager
        def writing(*store_and_session: Any) -> Iterator[Connection]:
            if next(begun) == death.transaction and not death.after_commit:
                os._exit(_DIED)
            with usual(*store_and_session) as connection:
                yield connection
            if next(committed) == death.transaction and death.after_commit:
                os._exit(_DIED)

        return writing

    doors = {name: mortal(getattr(Store, name)) for name in ("writing", "writing_alone")}
    with patch.multiple(Store, **doors):
        yield


# --- the scene, and copies of it


@dataclass
class Ground:
    """Where copies of the scene are made, on one kind of database."""

    scene: World
    copy_database: Callable[[Path], tuple[str, Callable[[], None]]]

    def fresh(self) -> World:
        home = Path(tempfile.mkdtemp(prefix="mailrotate-model-", dir=folder_in_memory()))
        console = self.scene.console.moved(home)
        url, drop = self.copy_database(home)
        console.env["MAILROTATE_DB"] = url
        return World(home, console, drop, Post(home / "taken.jsonl"))

    @property
    def taken_before(self) -> list[Taken]:
        return self.scene.post.taken()


def on_sqlite(template: Path, folder: Path) -> Ground:
    path = folder / "workspace.db"
    shutil.copyfile(template, path)
    path.chmod(0o600)
    scene = _scene(folder, str(path), lambda: None)
    return Ground(scene, lambda home: (str(home / "workspace.db"), lambda: None))


def on_postgresql(server: PostgresqlServer, template: str, folder: Path) -> Ground:
    played = f"model_{next(_numbers)}"
    scene = _scene(folder, server.make(played, template), lambda: server.drop(played))

    def copy(_home: Path) -> tuple[str, Callable[[], None]]:
        name = f"model_{next(_numbers)}"
        return server.make(name, played), lambda: server.drop(name)

    return Ground(scene, copy)


def servers_of(mailbox: str) -> tuple[str, ...]:
    """The flags of a login to a mailbox: each is on a host of its own."""
    host = mailbox.replace("@", ".")
    return ("--smtp", f"{host}:465", "--imap", f"{host}:993", "--security", "tls", "--password-stdin")


def _text_of(campaign: str, steps: int) -> str:
    text = f'name = "{campaign}"\ntimezone = "UTC"\nwindow = {{ days = "mon-sun", hours = "00:00-24:00" }}\n'
    for step in range(1, steps + 1):
        head = 'subject = "A question"' if step == 1 else 'delay = "1d"'
        text += f'[[steps]]\n{head}\ntext = "This is {campaign} number {step}."\n'
    return text


def _scene(home: Path, database: str, drop: Callable[[], None]) -> World:
    """Everything connected and started, and nothing sent."""
    post = Post(home / "taken.jsonl")
    world = World(home, Console(home, {"MAILROTATE_DB": database}), drop, post)

    def done(*words: str, input: str = _PASSWORD, who: str = ROOT) -> None:
        ran = world.type(*words, input=input, who=who)
        assert ran is not None
        assert ran.status == 0, ran.stderr

    console = world.console.at(MONDAY, standing_still=True)
    console.run("init", "--email", ROOT, "--name", "Root Example")
    done("settings", "set", "clock_jump=off", "database_clock_tolerance=off")
    done("plan", "set", "--shared", "on")
    for user in (UNA, VIC):
        done("user", "add", user, "--role", "manager")
    for mailbox in (ANNA, BEN, CLEO):
        connect = ("mailbox", "connect", mailbox, *servers_of(mailbox), "--gap", "0s")
        done(*connect, "--for", USERS[mailbox])
        done("mailbox", "set", mailbox, "--access", "shared")
        if USERS[mailbox] != ROOT:
            done("mailbox", "share", "add", mailbox, ROOT)
    for name, (flags, people) in CAMPAIGNS.items():
        (home / f"{name}.toml").write_text(_text_of(name, 2 if name == "solo" else 3))
        done("campaign", "create", f"{name}.toml", *flags)
        done("recipient", "import", name, "-", input="email\n" + "\n".join(people))
        done("campaign", "start", name)
    for user, person in ((UNA, PEOPLE[12]), (VIC, PEOPLE[13])):
        done("recipient", "import", "team", "-", input=f"email\n{person}", who=user)
    done("run", "--once")
    done("recipient", "import", "intro", "-", input="email\n" + "\n".join(NOT_WRITTEN_TO))
    world.store.close()
    return world


def say(world: World) -> None:
    """Print what was typed: of a failed example, the story."""
    print("\n".join(world.typed), file=sys.stderr)  # noqa: T201  shown by pytest with the failure
