"""The state diagrams of docs/scheduler.md are the tables of `core/rules/transitions.py`, and nothing else."""

import re

import pytest

from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.transitions import (
    CAMPAIGN,
    CONNECTION,
    DEADLINE,
    MESSAGE,
    RECIPIENT,
    REQUEST,
    USER,
    Machine,
)
from tests.test_house import ROOT

MACHINES = {
    "message": MESSAGE,
    "recipient": RECIPIENT,
    "campaign": CAMPAIGN,
    "connection": CONNECTION,
    "deadline": DEADLINE,
    "user": USER,
    "request": REQUEST,
}


def drawn(machine: Machine) -> str:
    """As Mermaid: one arrow for each pair of states, with every event that leads along it."""
    events: dict[tuple[str, str], list[str]] = {}
    for event, transition in machine.items():
        new = ("[*]",) if transition.creates else ()
        for before in (*new, *transition.origins):
            events.setdefault((before, transition.target), []).append(event)
    arrows = (f"    {before} --> {after}: {', '.join(names)}" for (before, after), names in events.items())
    return "\n".join(("stateDiagram-v2", *arrows))


@pytest.mark.parametrize("name", MACHINES)
def test_a_diagram_shows_every_change_of_state_that_the_table_allows(name: str) -> None:
    page = (ROOT / "docs" / "scheduler.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^### A {name}\n.*?^```mermaid\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [text.rstrip("\n") for text in shown] == [drawn(MACHINES[name])]


def test_the_page_lists_every_gate_in_the_order_in_which_they_are_asked() -> None:
    page = (ROOT / "docs" / "scheduler.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (campaign|mailbox|recipient) \| `(\w+)` \|", page, re.MULTILINE)
    assert listed == [(gate.scope.name.lower(), gate.value) for gate in Gate]
