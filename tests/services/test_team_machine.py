"""A team types commands in any order: nobody has more mailboxes than slots, no address stands twice, every
listing says the same, and every refusal says how to go on, in a way that works (A1–A10, B5, B6, B8, B11)."""

import re
import shlex
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.values.hint import Ask, Command, Hint
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.cli.test_hints import problem_with
from tests.support.console import Console
from tests.support.databases import PostgresqlServer
from tests.support.program import Completed
from tests.support.seats_seen import Seen, look

ADA, MIA, BEN, CLEO = (f"{name}@example.org" for name in ("ada", "mia", "ben", "cleo"))
USERS = (ADA, MIA, BEN, CLEO)
# Two that are one to Gmail, two that are one to anybody, a role's, and a user's own.
ADDRESSES = (
    "jo.doe@gmail.com", "JoDoe+news@googlemail.com", "ben@example.net", "Ben@Example.NET", "info@example.net",
    "mia.mail@example.net", "ada@example.net", "cleo@example.net", MIA,
)  # fmt: skip
PLAN_FLAGS = tuple(
    (f"--{name}", value)
    for name, values in {
        "shared": ("on", "on", "off"),
        "role-addresses": ("on", "on", "off"),
        "approval": ("required", "none", "none"),
    }.items()
    for value in values
)
PASSWORD = "of-the-sandbox"
# Refusals whose hint names another way on, not the one that was refused.
_ANOTHER_WAY = {
    "user.exists": "shows who that is",
    "user.has_mailbox": "locking, which is mostly what is meant",
    "user.in_use": "locking, which is mostly what is meant",
    "mailbox.connected": "a reconnect of what is connected already",
    "request.on_seat": "connecting it, which needs no approval",
    "request.exists": "deciding about the request that there is",
    "request.decided": "a new request",
    "slot.pool": "buys them, and assigns them at once",
    "slot.in_pool": "what is done with a slot of the pool",
    "mailbox.elsewhere": "the seat that has it may connect it",
}
_ONLY_SHOWS = ("list", "show", "requests", "roles", "--help")
_numbers = count(1)

users = st.sampled_from(USERS)
# Mostly somebody who may: a refusal is worth a step, but not every second one.
actors = st.sampled_from((ADA, ADA, ADA, *USERS))
addresses = st.sampled_from(ADDRESSES)
picks = st.integers(0, 30)


def canonical(address: str) -> str:
    """In which two spellings of one mailbox are equal (A9)."""
    local, _, domain = address.lower().partition("@")
    if domain in ("gmail.com", "googlemail.com"):
        return f"{local.partition('+')[0].replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


@dataclass
class Place:
    """One workspace, and copies of it in which a hint may be tried without changing it."""

    folder: Path
    store: Store
    copy_to: Callable[[Store, str], Store]
    drop: Callable[[Store], None]

    @property
    def console(self) -> Console:
        return Console.on(self.store, self.folder)

    @contextmanager
    def copied(self) -> Iterator[Console]:
        store = self.copy_to(self.store, f"team_copy_{next(_numbers)}")
        yield Console.on(store, self.folder)
        store.close()
        self.drop(store)

    def close(self) -> None:
        self.store.close()
        self.drop(self.store)
        shutil.rmtree(self.folder)


@dataclass
class Ground:
    """Where workspaces are made, the mail server that everybody logs in to, and which hints were tried."""

    server: SandboxInfo
    make: Callable[[Path], Place]
    # How often the hint of one refusal of one command is tried: a copy of the workspace each time.
    tries: int
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)

    def fresh(self) -> Place:
        return self.make(Path(tempfile.mkdtemp(prefix="mailrotate-team-")))

    @property
    def servers(self) -> list[str]:
        smtp, imap = (f"{end.host}:{end.port}" for end in (self.server.smtp, self.server.imap))
        who = self.server.senders[0]
        return shlex.split(f"--smtp {smtp} --imap {imap} --security none --username {who} --password-stdin")


class Team(RuleBasedStateMachine):
    """Rules type one command each, and say what it changed where it was done."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.place = ground.fresh()
        self.console = self.place.console
        self.console.run("init", "--email", ADA)
        self.before = self.seen = look(self.place.store)

    def teardown(self) -> None:
        self.place.close()

    # --- typing

    def type(self, actor: str, *words: str) -> bool:
        """Whether it was done; what was refused has changed nothing, and its hint leads on."""
        if problem_with(words):
            return False
        self.before = self.seen
        ran = type_on(self.console, self.ground, actor, words)
        self.seen = look(self.place.store)
        if ran.status == 0:
            event(f"done: {' '.join(words[:2])}")
            return True
        assert self.seen == self.before, f"{words} was refused and has changed something: {ran.stderr}"
        self._check_refusal(actor, words, ran)
        return False

    def _check_refusal(self, actor: str, words: Sequence[str], ran: Completed) -> None:
        assert ran.status in (2, 3, 4, 7), f"{words} ended with {ran.status}: {ran.stderr}"
        error = ran.error()
        event(f"refused: {error['code']}")
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", error["code"]), error
        things = {*map(str.lower, (actor, *words)), *self.seen.users, *self.seen.mailboxes, "pool", "plan"}
        named = {word for word in things if len(word) > 1 and not word.startswith("-")}
        assert any(thing in error["message"].lower() for thing in named), f"{words}: {error} names nothing"
        assert error["hint"], f"{words}: {error}"
        tried = (" ".join(words[:2]), error["code"])
        if self.ground.tried[tried] < self.ground.tries:
            with self.place.copied() as console:
                Way(console, self.ground, self.seen).lead_on(actor, tuple(words), ran)
            # Only what worked is not tried again: a failure must fail again when it is replayed.
            self.ground.tried[tried] += 1

    def change(self) -> dict[str, Any]:
        """By how much each count differs from what it was before the last command."""
        counts = {
            f"{what} {of}": getattr(self.seen, what)[of] - getattr(self.before, what)[of]
            for what in ("total", "connected")
            for of in (*self.seen.users, *self.before.users, None)
        }
        return {name: by for name, by in counts.items() if by}

    def _slot(self, pick: int) -> int | None:
        known = sorted(self.seen.slots)
        return known[pick % len(known)] if known else None

    # --- users

    @rule(actor=actors, user=users, role=st.sampled_from(("member", "member", "manager", "admin")))
    def add_user(self, actor: str, user: str, role: str) -> None:
        if self.type(actor, "user", "add", user, "--role", role):
            assert self.seen.users[user] == {"role": role, "state": "active", "default": None}
            assert self.seen.total[user] == self.seen.plan["slots_per_user"]

    @rule(actor=actors, user=users, role=st.sampled_from(("member", "manager", "admin")))
    def set_role(self, actor: str, user: str, role: str) -> None:
        if self.type(actor, "user", "set", user, "--role", role):
            assert self.seen.users[user]["role"] == role
            assert self.change() == {}

    @rule(actor=actors, user=users, what=st.sampled_from(("lock", "unlock")))
    def lock_or_unlock(self, actor: str, user: str, what: str) -> None:
        sure = ["--yes"] if what == "lock" else []
        if self.type(actor, "user", what, user, *sure):
            assert self.seen.users[user]["state"] == {"lock": "locked", "unlock": "active"}[what]
            assert self.change() == {}

    @rule(actor=actors, user=users)
    def remove_user(self, actor: str, user: str) -> None:
        if self.type(actor, "user", "remove", user, "--yes"):
            assert user not in self.seen.users
            assert not [box for box in self.before.mailboxes.values() if box["user"] == user]

    # --- the plan and slots

    @rule(actor=actors, slots=st.integers(0, 3), force=st.booleans())
    def set_slots_of_plan(self, actor: str, slots: int, force: bool) -> None:
        if self.type(actor, "plan", "set", "--slots", str(slots), *(["--force"] * force)):
            assert self.seen.plan["slots_per_user"] == slots
            assert self.seen.connected == self.before.connected

    @rule(actor=actors, flag=st.sampled_from(PLAN_FLAGS), force=st.booleans())
    def set_flag_of_plan(self, actor: str, flag: tuple[str, str], force: bool) -> None:
        if self.type(actor, "plan", "set", *flag, *(["--force"] * force)):
            assert self.change() == {}

    @rule(actor=actors, user=users, number=st.integers(1, 2))
    def add_slots(self, actor: str, user: str, number: int) -> None:
        if self.type(actor, "slot", "add", "--user", user, "--count", str(number)):
            assert self.change() == {f"total {user}": number}

    @rule(actor=actors, number=st.integers(1, 2))
    def buy_slots(self, actor: str, number: int) -> None:
        if self.type(actor, "slot", "buy", "--count", str(number)):
            assert self.change() == {"total None": number}

    @rule(actor=actors, user=users, number=st.integers(1, 2))
    def assign_slots(self, actor: str, user: str, number: int) -> None:
        if self.type(actor, "slot", "assign", "--user", user, "--count", str(number)):
            assert self.change() == {f"total {user}": number, "total None": -number}

    @rule(actor=actors, pick=picks)
    def unassign_slot(self, actor: str, pick: int) -> None:
        if (slot := self._slot(pick)) and self.type(actor, "slot", "unassign", f"s_{slot}"):
            assert self.change() == {f"total {self.before.slots[slot]['user']}": -1, "total None": 1}

    @rule(actor=actors, pick=picks)
    def remove_slot(self, actor: str, pick: int) -> None:
        """A2: above the plan's number one subscription ends; else none, and a bought slot is the team's."""
        if (slot := self._slot(pick)) and self.type(actor, "slot", "remove", f"s_{slot}", "--yes"):
            before, user = self.before, self.before.slots[slot]["user"]
            bought = [each for each in before.slots.values() if each["kind"] == "purchased"]
            is_above = user is None or before.total[user] > before.plan["slots_per_user"]
            ends = is_above and any(each["user"] == user for each in bought)
            still_bought = [each for each in self.seen.slots.values() if each["kind"] == "purchased"]
            assert len(still_bought) == len(bought) - ends
            assert self.seen.total[user] == before.total[user] - 1
            assert slot not in self.seen.slots or self.seen.slots[slot]["user"] is None
            assert set(self.seen.mailboxes) == set(before.mailboxes), "deleting is another command"

    # --- mailboxes

    @rule(actor=actors, address=addresses, user=st.none() | users)
    def connect(self, actor: str, address: str, user: str | None) -> None:
        whose = user or actor
        if self.type(actor, "mailbox", "connect", address, *(["--for", user] if user else [])):
            assert self.change() == {f"connected {whose}": 1}
            own = address.lower()
            assert own not in self.seen.users or own == whose, "A8: nobody gets another user's own address"
            if own not in self.before.mailboxes:
                self._was_allowed(own)

    def _was_allowed(self, address: str) -> None:
        """A7, A8: what is new on a seat was approved, and is no role's, where the plan says so."""
        plan, asked = self.before.plan, self.before.requests.values()
        approved = [canonical(each["address"]) for each in asked if each["state"] == "approved"]
        assert not plan["approval_required"] or canonical(address) in approved
        assert plan["role_addresses"] or not address.startswith("info@")

    @rule(actor=actors, address=addresses)
    def reconnect(self, actor: str, address: str) -> None:
        if self.type(actor, "mailbox", "reconnect", address):
            assert self.change() == {}

    @rule(actor=actors, address=addresses)
    def disconnect(self, actor: str, address: str) -> None:
        if self.type(actor, "mailbox", "disconnect", address, "--yes"):
            user = self.seen.mailboxes[address.lower()]["user"]
            assert self.change() == {f"connected {user}": -1}

    @rule(actor=actors, address=addresses)
    def make_default(self, actor: str, address: str) -> None:
        if self.type(actor, "mailbox", "default", address):
            user = self.seen.mailboxes[address.lower()]["user"]
            assert self.seen.users[user]["default"] == address.lower()

    @rule(actor=actors, address=addresses, to=st.none() | addresses)
    def remove_mailbox(self, actor: str, address: str, to: str | None) -> None:
        moved = ["--move-to", to] if to else []
        if self.type(actor, "mailbox", "remove", address, *moved, "--yes"):
            assert address.lower() not in self.seen.mailboxes
            assert set(self.before.mailboxes) - set(self.seen.mailboxes) == {address.lower()}
            assert self.seen.total == self.before.total

    @rule(actor=actors, address=addresses, what=st.sampled_from(("add", "remove")), alias=addresses)
    def change_alias(self, actor: str, address: str, what: str, alias: str) -> None:
        if self.type(actor, "mailbox", "alias", what, address, alias):
            assert (alias.lower() in self.seen.aliases) == (what == "add")
            assert self.change() == {}

    @rule(actor=actors, address=addresses, access=st.sampled_from(("personal", "shared")))
    def set_access(self, actor: str, address: str, access: str) -> None:
        if self.type(actor, "mailbox", "set", address, "--access", access):
            assert self.seen.mailboxes[address.lower()]["is_shared"] == (access == "shared")
            assert access == "personal" or self.seen.plan["shared_mailboxes"]

    @rule(actor=actors, address=addresses, what=st.sampled_from(("add", "remove")), user=users)
    def change_share(self, actor: str, address: str, what: str, user: str) -> None:
        if self.type(actor, "mailbox", "share", what, address, user):
            assert self.change() == {}

    # --- requests

    @rule(actor=actors, address=addresses, user=st.none() | users)
    def request(self, actor: str, address: str, user: str | None) -> None:
        if self.type(actor, "mailbox", "request", address, *(["--for", user] if user else [])):
            assert self.change() == {}

    @rule(actor=actors, pick=picks, what=st.sampled_from(("approve", "approve", "deny")))
    def decide(self, actor: str, pick: int, what: str) -> None:
        known = sorted(self.seen.requests)
        if known and self.type(actor, "mailbox", what, f"q_{known[pick % len(known)]}"):
            assert actor in self.seen.admins, "A7: an admin decides"
            assert self.change() == {}

    # --- what always holds

    @invariant()
    def nobody_is_above_their_slots(self) -> None:
        seen = self.seen
        assert all(number <= seen.total[user] for user, number in seen.connected.items())
        taken = [
            (box["slot"], box["user"]) for box in seen.mailboxes.values() if box["state"] != "disconnected"
        ]
        assert len(dict(taken)) == len(taken), "a slot holds one mailbox"
        assert all(seen.slots[slot]["user"] == user for slot, user in taken), "and it is of the same user"
        assert seen.admins, "somebody can act"

    @invariant()
    def no_address_is_on_two_seats(self) -> None:
        addresses = [*self.seen.mailboxes, *self.seen.aliases]
        assert sorted(map(canonical, addresses)) == sorted(self.seen.held)

    @invariant()
    def a_default_is_on_its_users_seat(self) -> None:
        for email, user in self.seen.users.items():
            on_seat = [box for box in self.seen.mailboxes.values() if box["user"] == email]
            assert (user["default"] is None) == (not on_seat)
            assert user["default"] is None or self.seen.mailboxes[user["default"]]["user"] == email

    @invariant()
    def every_listing_says_so(self) -> None:
        seen = self.seen
        if self.before == seen:
            return
        admin = seen.admins[0]
        slots = self.console.run("--as", admin, "slot", "list", "--json").json()
        of_users = {email: (seen.connected[email], seen.total[email]) for email in seen.users}
        assert {row["user"]: (row["connected"], row["total"]) for row in slots["users"]} == of_users
        assert {row["user"]: row["default"] for row in slots["users"]} == {
            email: user["default"] for email, user in seen.users.items()
        }
        assert slots["team"] == {
            "connected": seen.connected.total(),
            "total": seen.total.total() - seen.total[None],
            "unassigned": seen.total[None],
        }
        listed = self.console.run("--as", admin, "user", "list", "--json").json()
        assert {row["email"]: (row["connected"], row["total"]) for row in listed} == of_users
        boxes = self.console.run("--as", admin, "mailbox", "list", "--json").json()
        assert {row["address"]: row["state"] for row in boxes} == {
            address: box["state"] for address, box in seen.mailboxes.items()
        }


def type_on(console: Console, ground: Ground, actor: str, words: Sequence[str]) -> Completed:
    """One command as somebody types it, with what a login needs where it needs one."""
    more = ground.servers if tuple(words[:2]) in {("mailbox", "connect"), ("mailbox", "reconnect")} else []
    return console.run("--as", actor, *words, *more, "--json", input=PASSWORD, check_status=None)


@dataclass
class Way:
    """Following hints until the refused command is done, in a copy of the workspace."""

    console: Console
    ground: Ground
    seen: Seen
    steps: int = 0

    def lead_on(self, actor: str, words: tuple[str, ...], refused: Completed) -> None:
        """Do what the hint says, and then the refused command, which is not refused so again."""
        self.steps += 1
        error, hint = refused.error(), refused.hint
        assert self.steps < 12, f"hints lead in a circle: {words}: {error}"
        parts = hint.parts if isinstance(hint, Hint) else (hint,)
        step = next((part for part in parts if isinstance(part, Ask | Command)), hint)
        who = step.users[0][0] if isinstance(step, Ask) else actor
        command = step.command if isinstance(step, Ask) else step
        if command is None:
            self._try_again(who, words, error)
        elif command == "add --as EMAIL":
            self._try_again(look(self.console.store).admins[0], words, error)
        elif isinstance(command, Command) and problem_with(command.words) is None:
            # Nobody can type as somebody who is not there; the hint is for whoever is.
            typist = who if who in look(self.console.store).users else ADA
            self._carry_out(typist, self._filled(command, words), f"{actor} {words}: {error}")
            shows_only = any(word in _ONLY_SHOWS for word in command.words[:3])
            if not shows_only and error["code"] not in _ANOTHER_WAY:
                self._try_again(actor, words, error)
        elif flag := re.search(r"\badd (--yes|--force)\b", error["hint"]):
            self._try_again(actor, (*words, flag[1]), error)

    def _carry_out(self, actor: str, words: tuple[str, ...], told: str) -> None:
        ran = type_on(self.console, self.ground, actor, words)
        if ran.status == 7:
            ran = type_on(self.console, self.ground, actor, (*words, "--yes"))
        assert ran.status in (0, 3, 4, 7), f"{told}\n{words} ended with {ran.status}: {ran.stderr}"
        if ran.status:
            self.lead_on(actor, words, ran)

    def _try_again(self, actor: str, words: tuple[str, ...], error: dict[str, str]) -> None:
        ran = type_on(self.console, self.ground, actor, words)
        if ran.status:
            again = ran.error()
            # The same about something else is a step further.
            assert again["message"] != error["message"], (
                f"the hint led nowhere: {actor} {words}: {error}, {again}"
            )
            self.lead_on(actor, words, ran)

    def _filled(self, command: Command, refused: Sequence[str]) -> tuple[str, ...]:
        """With something where a person is to put something of their own."""
        values = {"EMAIL": f"new{self.steps}@example.org", "ADDRESS": f"new{self.steps}@example.net"}
        if command.words[:2] != ("user", "add"):
            known = look(self.console.store).admins
            values["EMAIL"] = next((user for user in known if user not in refused), ADA)
        return tuple(
            re.sub(r"\b(EMAIL|ADDRESS)\b", lambda found: values[found[0]], word) for word in command.words
        )


# --- on both databases


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def on_sqlite(server: SandboxInfo, sqlite_template: Path) -> Ground:
    def copy(store: Store, name: str) -> Store:
        assert store.path is not None
        path = store.path.with_name(f"{name}.db")
        with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
        return open_store(str(path))

    def drop(store: Store) -> None:
        assert store.path is not None
        store.path.unlink()

    def make(folder: Path) -> Place:
        shutil.copyfile(sqlite_template, folder / "team.db")
        return Place(folder, open_store(str(folder / "team.db")), copy, drop)

    return Ground(server, make, tries=3)


@pytest.fixture
def on_postgresql(server: SandboxInfo, postgresql: PostgresqlServer, postgresql_template: str) -> Ground:
    def copy(store: Store, name: str) -> Store:
        store.engine.dispose()  # a template must have no session
        return open_store(postgresql.make(name, str(store.engine.url.database)))

    def drop(store: Store) -> None:
        postgresql.drop(str(store.engine.url.database))

    def make(folder: Path) -> Place:
        url = postgresql.make(f"team_{next(_numbers)}", postgresql_template)
        return Place(folder, open_store(url), copy, drop)

    return Ground(server, make, tries=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def ground(request: pytest.FixtureRequest) -> Ground:
    found: Ground = request.getfixturevalue(f"on_{request.param}")
    return found


def play(ground: Ground, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Team(ground),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # No search for the reason of a failure: each example is a workspace and many commands.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a1_a10_a_team_that_types_in_any_order_keeps_to_the_rules(ground: Ground) -> None:
    # A copy of a PostgreSQL database takes a second: there, only the long run tries hints.
    ground.tries -= 1
    play(ground, examples=3, steps=20)


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a1_a10_a_team_that_types_for_long_keeps_to_the_rules(ground: Ground) -> None:
    play(ground, examples=25, steps=50)
