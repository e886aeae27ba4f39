"""`examples/team.sh` as shipped, typed into a shell in an empty home, with a sandbox in another process."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.canary import found_in
from tests.support.program import Program

SCRIPT = Path(__file__).parents[2] / "examples" / "team.sh"
PASSWORD = "canary/Xq7+ %9vT&2"
ANNA, BEN, CLARA, SALES = (f"{name}@sandbox.example.org" for name in ("anna", "ben", "clara", "sales"))


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def program(tmp_path: Path, server: SandboxInfo) -> Program:
    """A home in which nothing is but the password, and `mailrotate` in the PATH."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "bin").mkdir()
    typed = tmp_path / "bin" / "mailrotate"
    typed.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W error -m mailrotate "$@"\n')
    typed.chmod(0o755)
    ends = {name: f"{end.host}:{end.port}" for name, end in (("SMTP", server.smtp), ("IMAP", server.imap))}
    program = Program(tmp_path, ends)
    program.env["PATH"] = f"{tmp_path / 'bin'}:{program.env['PATH']}"
    return program


def documents(text: str) -> Iterator[Any]:
    """One JSON document after the other; an array may take several lines."""
    while text := text.lstrip():
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]


# Some thirty processes, one after the other.
@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a1_a10_f5_a_team_of_three_is_set_up_by_the_script_that_ships(program: Program) -> None:
    ran = subprocess.run(
        ["sh", str(SCRIPT)], cwd=program.home, env=program.env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    printed = list(documents(ran.stdout))
    assert not found_in(PASSWORD, (ran.stdout + ran.stderr).encode())

    slots = program.run("slot", "list", "--json").json()
    assert printed[-1] == slots
    assert slots["team"]["connected"] == 3
    assert slots["team"]["unassigned"] == 1
    assert {row["user"]: (row["connected"], row["total"], row["default"]) for row in slots["users"]} == {
        ANNA: (1, 1, ANNA),
        BEN: (1, 1, BEN),
        CLARA: (1, 2, CLARA),
    }
    users = program.run("user", "list", "--json").json()
    assert {row["email"]: (row["role"], row["state"], row["name"]) for row in users} == {
        ANNA: ("admin", "active", "Anna Example"),
        BEN: ("manager", "active", "Ben Example"),
        CLARA: ("member", "active", "Clara Example"),
    }
    boxes = {row["address"]: row for row in program.run("mailbox", "list", "--json").json()}
    assert {address: (row["user"], row["state"], row["access"]) for address, row in boxes.items()} == {
        ANNA: (ANNA, "connected", "personal"),
        BEN: (BEN, "connected", "personal"),
        CLARA: (CLARA, "connected", "shared"),
    }
    assert (boxes[ANNA]["sender_name"], boxes[ANNA]["daily_limit"]) == ("Anna of Example", 80)
    assert boxes[CLARA]["daily_limit"] == 20, "the first day of a ramp-up"

    log = program.run("log", "--action", "mailbox.", "--json").json()
    done = [(line["action"], line["actor"], line["mailbox"]) for line in log]
    assert ("mailbox.connected", ANNA, CLARA) in done
    assert ("mailbox.connected", BEN, BEN) in done
    signatures = program.run("mailbox", "signature", "list", ANNA, "--json").json()
    assert [(each["name"], each["main"]) for each in signatures] == [("short", False), ("long", True)]
    aliases = program.run("mailbox", "alias", "list", BEN, "--json").json()
    assert [(each["address"], each["in_use"]) for each in aliases] == [(SALES, True)]
