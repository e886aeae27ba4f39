"""F5: what `status`, `why` and the tables say of a state of the world is what a pass then really does.

The oracle is the pass itself, played on copies of the workspace: now, at an instant that was named, and one
second before it. Every command that was offered is typed on another copy.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.life.scene import DAY, SECOND, Scene
from tests.life.states import AMY, FOUND, NOW, Built, State, every_pair, ground
from tests.life.test_typed_remedies import named_in
from tests.support.post_office import PostOffice, sent_by

# When every window is open and every limit is over.
MUCH_LATER = NOW + 3 * DAY
_RUNNERS = (("run",), ("run", "--once"), ("log", "--follow"))
# They show what is to be known before a person acts.
_SHOWING = ("status", "why", "log", "campaign show", "outbox list", "mailbox show", "mailbox test")
_numbers = count()

STATES = every_pair(1)
_FEW = 5


@pytest.fixture(scope="module")
def grounds(office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Callable[[State], Scene]:
    made: dict[int, Scene] = {}

    def of(state: State) -> Scene:
        boxes = list(state.boxes)
        if len(boxes) not in made:
            made[len(boxes)] = ground(tmp_path_factory.mktemp("ground"), office, boxes)
        known = made[len(boxes)]
        return Scene(known.console.moved(tmp_path_factory.mktemp("state")), office, known.user_of)

    return of


def copied(scene: Scene) -> Scene:
    home = scene.console.home
    return Scene(scene.console.moved(Path(f"{home}-{next(_numbers)}")), scene.office, scene.user_of)


@dataclass
class Told:
    """Everything that the readers say in one state."""

    lines: list[str]
    status: Any
    boxes: dict[str, Any]
    campaigns: dict[str, Any]
    shown: dict[str, Any]
    listed: dict[str, Any]
    words: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return str(self.status["headline"]["code"])

    def instants(self) -> dict[datetime, list[str]]:
        """Each instant ahead that is named, with the mailboxes and campaigns of which it is the next."""
        found: dict[datetime, list[str]] = {}
        for name, said in (*self.boxes.items(), *self.campaigns.items()):
            if said["next_at"] is not None:
                found.setdefault(max(NOW, read(said["next_at"])), []).append(name)
        return found


def read(instant: str) -> datetime:
    at = datetime.fromisoformat(instant)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def ask(scene: Scene, state: State) -> Told:
    def asked(*words: str) -> Any:
        return scene.at(NOW, *words, "--json", standing=True).json()

    texts = [("status",), *(("why", name) for name in (*state.boxes, *state.campaigns))]
    return Told(
        scene.console.at(NOW, standing_still=True).on_terminal(80, "status"),
        asked("status"),
        {address: asked("why", address) for address in state.boxes},
        {name: asked("why", name) for name in state.campaigns},
        {name: asked("campaign", "show", name) for name in state.campaigns},
        {row["address"]: row for row in asked("mailbox", "list")},
        {" ".join(words): scene.at(NOW, *words, standing=True).stdout for words in texts},
    )


def sent_at(scene: Scene, instant: datetime) -> set[str]:
    """The mailboxes and campaigns of which something leaves in a pass at this instant."""
    copy = copied(scene)
    before = len(copy.office.smtp.received)
    # A clock that stands still: what is due in the second that begins now is not due yet.
    copy.at(instant, "run", "--once", status=None, standing=True)
    sent = sent_by(copy.office.smtp.received[before:])
    # Apart from notices to users.
    people = {(box, one) for box, to in sent.items() for one in to if one.endswith("@truth.example.com")}
    return {box for box, _ in people} | {one.split("@")[0].split(".")[1] for _, one in people}


def problems(scene: Scene, built: Built) -> Iterator[str]:
    state = built.state
    told = ask(scene, state)
    yield from of_form(told)
    yield from of_agreement(told)
    commands = {command for text in told.words.values() for command in named_in(text.replace("`", "; "))}
    built.__exit__()
    yield from of_truth(scene, state, told)
    for address in state.boxes:
        scene.take_login(address)
    yield from of_commands(scene, state, told, commands)


# --- form


def of_form(told: Told) -> Iterator[str]:
    for line in told.lines:
        if len(line) > 80:
            yield f"a line of {len(line)} columns: {line}"
    last = [line for line in told.lines if line.startswith("next: ")]
    if len(last) != 1 or last[0] == "next: ":
        yield f"not one next command: {last}"
    headline = "\n".join(told.lines).partition("\nrunner: ")[0]
    for clock in re.findall(r"next at (\d\d:\d\d)", headline):
        if clock < f"{NOW:%H:%M}":
            yield f"an instant in the past: {headline}"
    parts = told.status["headline"]["text"].split("; ")
    if parts[0].startswith("everything else") and parts[-1].endswith(" today"):
        yield f"it does not say what is kept: {parts}"
    if len(set(parts)) < len(parts):
        yield f"said twice: {parts}"
    for text in told.words.values():
        verdict = text.rstrip().splitlines()[-2:]
        if verdict[-1].startswith("next: ") and any(
            at < NOW
            for at in map(read, re.findall(r"^next: (?:at the earliest )?(\S+ \S+) UTC", verdict[-1]))
        ):
            yield f"an instant in the past: {verdict}"


# --- agreement


def of_agreement(told: Told) -> Iterator[str]:
    rows = {row["address"]: row for row in told.status["mailboxes"]}
    for address, row in rows.items():
        said = told.boxes[address]
        if row["next_at"] != said["next_at"]:
            yield f"{address}: status names {row['next_at']}, why {said['next_at']}"
        if row["waits_for"] and row["waits_for"] not in said["summary"]:
            yield f"{address}: status names '{row['waits_for']}', why '{said['summary']}'"
        if row["waits_for_act"] and not said["remedy"]:
            yield f"{address}: waits for an act, and why offers none: {said['summary']}"
        listed = told.listed[address]
        for key in ("state", "paused_at", "hold_reason"):
            if row[key] != listed[key]:
                yield f"{address}: {key} is {row[key]} and {listed[key]}"
        if row["state"] == "failed" and listed["trouble"] is None:
            yield f"{address}: mailbox list names no trouble"
    named = re.match(r"not sending: (\S+@\S+): (.+?)(?: since .*| \(and .*)?$", told.lines[0])
    if named and not (rows[named[1]]["waits_for"] or rows[named[1]]["reason"] or "").startswith(named[2]):
        yield f"the headline names '{named[0]}', its row '{rows[named[1]]['waits_for']}'"
    bound = {row["binding"] for row in rows.values()}
    is_down = told.lines[0].startswith("not sending") and "refuses connections" in told.lines[0]
    if is_down and not bound & {"hold", "gap", "inbox"}:
        yield f"the headline names a server, and the rows {bound}"
    for row in told.status["campaigns"]:
        name = row["name"]
        said, shown = told.campaigns[name], told.shown[name]
        if said["next_at"] != shown["next_send_at"]:
            yield f"{name}: why names {said['next_at']}, show {shown['next_send_at']}"
        if shown["waits_for"] and shown["waits_for"] not in said["summary"]:
            yield f"{name}: show names '{shown['waits_for']}', why '{said['summary']}'"
        if row["state"] == "paused" and row["ended"] < row["total"] and not shown["waits_for"]:
            yield f"{name}: show does not say that it waits for an act"
        for sender in shown["senders"] if row["state"] == "active" and row["ended"] < row["total"] else ():
            failed = sender["state"] == "failed" and sender["assigned"]
            if failed and sender["address"] not in said["summary"]:
                yield f"{name}: why does not name {sender['address']}, which has failed: {said['summary']}"
        if (row["state"], row["pause_reasons"]) != (shown["state"], shown["pause_reasons"]):
            yield f"{name}: {row['state']} and {shown['state']}"


# --- truth


def of_truth(scene: Scene, state: State, told: Told) -> Iterator[str]:
    named = told.instants()
    goes = {instant: sent_at(scene, instant) for instant in {NOW, *named}}
    text = told.status["headline"]["text"]
    works, passed = state.runner == "loop", state.runner in ("loop", "once now")
    if told.code == "sending" and not (passed and goes[min(named, default=NOW)]):
        yield f"nothing is sent: {text}"
    if text.startswith(("not sending", "up to date")) and goes[NOW] and told.code != "no_runner":
        yield f"a pass sends {goes[NOW]}: {text}"
    if "more with the next run" in text and not goes[NOW]:
        yield f"a run sends nothing: {text}"
    if goes[NOW] and not works and not re.search("runner|run", text):
        yield f"no runner sends it: {text}"
    if passed and "no runner" in text:
        yield f"a pass was just now: {text}"
    if text.startswith("up to date") and (kept := sent_at(resumed(scene, state), NOW)):
        yield f"{kept} would go after a resume: {text}"
    for name, said in (*told.boxes.items(), *told.campaigns.items()):
        if said["next_at"] is not None and said["needs_run"] is works:
            yield f"{name}: why says needs_run {said['needs_run']}"
    for instant, names in named.items():
        for name in names:
            # Two campaigns that share a mailbox share its limit too.
            if name not in goes[instant] and ("@" in name or not goes[instant]):
                yield f"{name}: nothing leaves at {instant}, which why names"
        if instant > NOW and (early := sent_at(scene, instant - SECOND) & set(names)):
            yield f"{early} leave before {instant}, which why names"
    waits = {name for names in named.values() for name in names}
    never = {*told.boxes, *told.campaigns} - waits
    if never and (late := sent_at(scene, MUCH_LATER) & never) and not told.status["graces"]:
        yield f"{late} leave later by themselves, and why names no instant"


def resumed(scene: Scene, state: State) -> Scene:
    """With every paused mailbox and campaign resumed that can be."""
    copy = copied(scene)
    for address in state.boxes:
        copy.at(NOW, "mailbox", "resume", address, status=None)
    for name in state.campaigns:
        copy.at(NOW, "campaign", "resume", name, status=None)
    return copy


# --- commands


def of_commands(scene: Scene, state: State, told: Told, commands: set[tuple[str, ...]]) -> Iterator[str]:
    for command in sorted(commands):
        if command in _RUNNERS:
            continue
        copy = copied(scene)
        ran = copy.at(NOW, *typed(copy, state, command), status=None)
        if ran.status != 0:
            yield f"refused ({ran.status}): {' '.join(command)}: {ran.stderr}"
    (following,) = named_in(told.status["next_command"])
    if following == ("run", "--once") and not sent_at(scene, NOW):
        yield f"one pass sends nothing: {told.status['headline']['text']}"
    if following in _RUNNERS or " ".join(following).startswith(_SHOWING):
        if following[0] == "run" and not any(sent_at(scene, at) for at in (NOW, *told.instants())):
            yield f"no runner is needed: {told.status['headline']['text']}"
        return
    copy = copied(scene)
    copy.at(NOW, *typed(copy, state, following))
    after = copy.json(NOW, "status")
    if after["next_command"] == told.status["next_command"]:
        yield f"{' '.join(following)} did not end it: {after['headline']['text']}"


def typed(scene: Scene, state: State, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command as a person completes it."""
    (scene.console.home / "people.csv").write_text("email,first_name,company\nzoe@truth.example.com,Zoe,Z\n")
    campaign = (scene.console.home / "warm.toml").read_text().replace('"warm"', '"gamma"')
    (scene.console.home / "gamma.toml").write_text(campaign)
    file = "gamma.toml" if command[:2] == ("campaign", "create") else "people.csv"
    filled: Mapping[str, str] = {"FILE": file, "ADDRESS": AMY, "N": "500"}
    words = tuple(filled.get(word, word) for word in command)
    if words[:2] == ("campaign", "create"):
        able = (address for address, kind in state.boxes.items() if kind not in ("failed", "disconnected"))
        return (*words, "--from", next(able))
    if words[:2] in (("mailbox", "connect"), ("mailbox", "reconnect")):
        return (*words, "--password-stdin")
    return words


def check(scene: Scene, state: State) -> None:
    with Built(scene, state) as built:
        found = list(problems(scene, built))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("state", [*FOUND, *STATES[:_FEW]], ids=str)
def test_f5_what_is_said_of_a_state_is_what_a_pass_then_does(
    grounds: Callable[[State], Scene], state: State
) -> None:
    check(grounds(state), state)


@pytest.mark.proof
@pytest.mark.parametrize("state", STATES[_FEW:], ids=str)
def test_f5_it_holds_of_every_pair_of_what_a_state_is_made_of(
    grounds: Callable[[State], Scene], state: State
) -> None:
    check(grounds(state), state)
