"""States of the world, built with commands: mailboxes, campaigns, a window and a runner (F5)."""

import itertools
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailrotate.core.store import mailboxes, workspaces
from mailrotate.core.store.sending import liveness
from tests.acceptance import autumn
from tests.life.scene import DAY, HOUR, MINUTE, PASSWORD, ROOT, SECOND, Scene
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.post_office import PostOffice

# A Saturday; the window that is closed opens on Monday.
NOW = datetime(2031, 3, 8, 12, tzinfo=UTC)
AMY, BOB = "amy@truth.example.org", "bob@truth.example.org"
FIRST, SECOND_CAMPAIGN = "alpha", "beta"

BOXES = ("able", "paused", "failed", "disconnected", "on hold", "at its limit", "in its gap")
CAMPAIGNS = (
    "draft without people", "draft", "due", "later", "paused", "paused later", "no sender", "stopped",
    "finished",
)  # fmt: skip
WINDOWS = ("open", "closed")
RUNNERS = ("never", "loop", "only sync", "ended", "killed", "once now", "once yesterday")


@dataclass(frozen=True)
class State:
    """One mixture; None where there is no second mailbox, or no campaign."""

    amy: str
    bob: str | None
    first: str | None
    second: str | None
    window: str
    runner: str

    @property
    def boxes(self) -> dict[str, str]:
        return {AMY: self.amy} | ({} if self.bob is None else {BOB: self.bob})

    @property
    def campaigns(self) -> dict[str, str]:
        named = {FIRST: self.first, SECOND_CAMPAIGN: self.second}
        return {name: kind for name, kind in named.items() if kind is not None}

    def __str__(self) -> str:
        kinds = [kind or "none" for kind in (self.amy, self.bob, self.first, self.second)]
        return ", ".join((*kinds, f"{self.window} window", f"runner {self.runner}"))

    @property
    def can_be(self) -> bool:
        """Without a pass, nothing has been sent to anybody."""
        return self.runner != "never" or "finished" not in self.campaigns.values()


# Mixtures of which something untrue was said once.
FOUND = (
    State("in its gap", None, "paused", None, "open", "never"),
    State("in its gap", None, "stopped", None, "open", "ended"),
    State("in its gap", None, "due", None, "open", "once now"),
    State("in its gap", None, "due", None, "open", "killed"),
    State("able", None, "due", None, "open", "once now"),
    State("able", "able", "paused", "later", "open", "loop"),
    State("able", "disconnected", "draft", None, "open", "never"),
    State("on hold", None, "due", None, "closed", "loop"),
    State("disconnected", "able", "finished", "draft", "open", "killed"),
)
_AXES: tuple[Sequence[str | None], ...] = (
    BOXES, (None, *BOXES), (None, *CAMPAIGNS), (None, *CAMPAIGNS), WINDOWS, RUNNERS,
)  # fmt: skip


def pairs_of(state: State) -> set[tuple[str, str]]:
    """What meets in this state: which of two mailboxes, or of two campaigns, is the first does not matter."""
    found = [f"{state.window} window", f"runner {state.runner}"]
    found += [f"mailbox {kind}" for kind in (state.amy, state.bob)]
    found += [f"campaign {kind}" for kind in (state.first, state.second)]
    return set(itertools.combinations(sorted(found), 2))


def every_pair(seed: int) -> list[State]:
    """States in which everything meets everything else, those with the most new pairs first."""
    draw = random.Random(seed)
    wanted = set().union(*map(pairs_of, _sampled(draw, 4000)))
    found: list[State] = []
    while wanted:
        best = max(_sampled(draw, 100), key=lambda state: len(pairs_of(state) & wanted))
        if pairs_of(best) & wanted:
            wanted -= pairs_of(best)
            found.append(best)
    return found


def _sampled(draw: random.Random, count: int) -> list[State]:
    drawn = (State(*map(draw.choice, _AXES)) for _ in itertools.count())  # type: ignore[arg-type]  # by axis
    return list(itertools.islice(filter(lambda state: state.can_be, drawn), count))


WINDOWED = autumn.CAMPAIGN
OPEN = autumn.ALWAYS


class Built:
    """A state with its commands; ends its runner with the block."""

    def __init__(self, scene: Scene, state: State) -> None:
        self.scene, self.state, self._stack = scene, state, ExitStack()

    def __enter__(self) -> "Built":
        self._build()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, instant: datetime, *words: str, status: int | None = 0, typed: str = PASSWORD) -> object:
        return self.scene.at(instant, *words, status=status, typed=typed)

    def _build(self) -> None:
        state, scene = self.state, self.scene
        for address in state.boxes:
            scene.take_login(address)
        kinds = list(state.campaigns.items())
        for name, kind in kinds:
            if kind == "finished":
                self._start(name, NOW - 30 * MINUTE, OPEN)
                scene.passes(NOW - 20 * MINUTE)
        if state.runner == "never":
            self._unmark()
        elif state.runner not in ("once yesterday", "only sync"):
            scene.passes(NOW - MINUTE)
        self._register()
        for name, kind in kinds:
            self._campaign(name, kind)
        for address, kind in state.boxes.items():
            self._box(address, kind)

    def _unmark(self) -> None:
        """What was sent so far was sent by commands."""
        with inside(self.scene.console, ROOT) as workspace, workspace.store.writing() as connection:
            workspaces.change(connection, last_pass_at=None, last_sending_pass_at=None)

    def _register(self) -> None:
        kind = self.state.runner
        if kind not in ("loop", "only sync", "ended", "killed"):
            return
        workspace = self._stack.enter_context(inside(self.scene.console, ROOT))
        only = "sync" if kind == "only sync" else None
        runner = liveness.register(workspace.store, "loop", NOW - HOUR, "here", only=only)
        if kind == "ended":
            runner.end(NOW - 30 * SECOND)
        elif kind == "killed":
            runner._lock.release()
        else:
            self._stack.callback(runner.end, NOW)

    def _start(
        self,
        name: str,
        instant: datetime,
        text: str,
        *,
        delay: str = "",
        people: bool = True,
        run: bool = True,
    ) -> None:
        text = (
            text.replace('"autumn"', f'"{name}"')
            .partition("[[steps]]\ndelay")[0]
            .replace("[[steps]]\n", f"[[steps]]\n{delay}")
        )
        (self.scene.console.home / f"{name}.toml").write_text(text)
        senders = [word for address in self.state.boxes for word in ("--from", address)]
        self.at(instant, "campaign", "create", f"{name}.toml", *senders)
        if people:
            rows = autumn.people_file([f"{n}.{name}@truth.example.com" for n in range(4)])
            self.at(instant, "recipient", "import", name, "-", typed=rows)
        if run:
            self.at(instant, "campaign", "start", name)

    def _campaign(self, name: str, kind: str) -> None:
        at = NOW - 20 * SECOND
        if kind == "finished":
            return
        is_later = kind in ("later", "paused later")
        is_draft = kind.startswith("draft")
        delay = 'delay = "3d"\n' if is_later else ""
        text = OPEN if self.state.window == "open" else WINDOWED
        self._start(name, at, text, delay=delay, people=kind != "draft without people", run=not is_draft)
        if kind in ("paused", "paused later"):
            self.at(at, "campaign", "pause", name)
        elif kind == "stopped":
            self.at(at, "campaign", "stop", name, "--yes")
        elif kind == "no sender":
            for address in self.state.boxes:
                self.scene.fail(address, at)
            for address in self.state.boxes:
                self.scene.come_back(at, address)

    def _box(self, address: str, kind: str) -> None:
        at, scene = NOW - 10 * SECOND, self.scene
        if kind == "paused":
            self.at(at, "mailbox", "pause", address)
        elif kind == "failed":
            scene.fail(address, at)
        elif kind == "disconnected":
            scene.disconnect(address, at)
        elif kind == "at its limit":
            shown = scene.json(at, "mailbox", "show", address)
            self.at(at, "mailbox", "set", address, "--daily-limit", str(shown["sent_today"]))
        elif kind == "in its gap":
            self.at(at, "mailbox", "set", address, "--gap", "1h")
        elif kind == "on hold":
            self._hold(address)

    def _hold(self, address: str) -> None:
        """As after a server that was down until now."""
        said = "connect: 127.0.0.1 port 25: Connection refused"
        hold = {"hold_reason": said, "hold_class": "net", "hold_until": NOW + 5 * MINUTE}
        with inside(self.scene.console, ROOT) as workspace, workspace.store.writing() as connection:
            box = mailboxes.by_address(connection, address)
            assert box is not None
            mailboxes.change(connection, box.id, **hold)
            mailboxes.change_connection(connection, box.connection_id, trouble_since=NOW - 5 * MINUTE)


def ground(home: Path, office: PostOffice, boxes: Sequence[str]) -> Scene:
    """A workspace in which a runner worked yesterday, and whose mailboxes have each sent one message by a
    command today."""
    console = Console(home)
    scene = Scene(console, office, dict.fromkeys((AMY, BOB), ROOT))
    before = NOW - 2 * DAY
    for address in (AMY, BOB):
        office.add(address, PASSWORD)
    console.at(before).run("init", "--email", ROOT, "--name", "Root Example")
    scene.at(before, "settings", "set", "database_clock_tolerance=off")
    scene.at(before, "slot", "add", "--for", ROOT, "--count", "2")
    for address in boxes:
        scene.connect(before, address)
    for number, name in itertools.product(range(4), (FIRST, SECOND_CAMPAIGN)):
        office.add(f"{number}.{name}@truth.example.com")
    (home / "warm.toml").write_text(OPEN.replace('"autumn"', '"warm"'))
    senders = [word for address in boxes for word in ("--from", address)]
    scene.at(before, "campaign", "create", "warm.toml", *senders)
    scene.passes(NOW - DAY)
    sent_at = NOW - 40 * MINUTE
    for address in boxes:
        to = office.add("me@truth.example.com")
        scene.at(sent_at, "campaign", "test", "warm", "--to", to, "--from", address)
    scene.at(sent_at, "campaign", "delete", "warm", "--yes")
    return scene
