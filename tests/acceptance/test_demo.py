"""`mailrotate demo` in an empty home, as the README's first command."""

import re
import signal
from pathlib import Path

import pytest

from mailrotate.core.values.clock import monotonic_seconds
from tests.support.program import Program

pytestmark = pytest.mark.proof

SENDERS = ["anna", "ben", "clara"]


def newcomer(tmp_path: Path) -> Program:
    """Somebody who has set nothing, with a folder for temporary files that we can look into."""
    (tmp_path / "temporary").mkdir()
    program = Program(tmp_path, {"TMPDIR": str(tmp_path / "temporary")})
    del program.env["MAILROTATE_DB"], program.env["MAILROTATE_KEY_FILE"]
    return program


def test_the_demo_shows_the_main_job_in_under_a_minute_and_leaves_nothing(tmp_path: Path) -> None:
    program = newcomer(tmp_path)
    began = monotonic_seconds()
    shown = program.run("demo").stdout
    assert monotonic_seconds() - began < 60
    lines = shown.splitlines()
    assert len(lines) < 70
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []

    start = next(number for number, line in enumerate(lines) if line.startswith("PERSON")) + 1
    rows = [re.split(r"  +", line.strip()) for line in lines[start : start + 12]]
    people = [row[0] for row in rows]
    assert len(set(people)) == 12
    assert sorted(row[1] for row in rows) == sorted(SENDERS * 4)
    answered = [row for row in rows if row[4] == "yes"]
    assert [row[2:4] for row in answered] == [["-", "-"]]
    for row in rows:
        if row not in answered:
            assert row[2:] == [row[1], "yes", "-"]

    typed = [line.removeprefix("$ mailrotate ") for line in lines if line.startswith("$ mailrotate ")]
    assert [line.split()[:2] for line in typed].count(["mailbox", "connect"]) == 3
    assert typed.count("run --once") == 3
    assert [line.split()[0] for line in lines[-3:]] == ["next:"] * 3


def test_what_is_kept_is_a_workspace_that_answers(tmp_path: Path) -> None:
    program = newcomer(tmp_path)
    kept = Path(program.run("demo", "--keep").stdout.partition("kept: ")[2].splitlines()[0])
    assert kept.parent == tmp_path / "temporary"
    own = {"MAILROTATE_KEY_FILE": str(kept / "demo.key"), "MAILROTATE_DB": str(kept / "demo.db")}
    shown = Program(tmp_path, own).run("campaign", "show", "autumn-intro", "--json").json()
    assert shown["recipients"]["replied"] == 1
    assert [step["sent"] for step in shown["steps"]] == [12, 11]


def test_an_interrupted_demo_cleans_up(tmp_path: Path) -> None:
    program = newcomer(tmp_path)
    process = program.start("demo")
    try:
        assert process.stdout is not None
        while "$ mailrotate mailbox connect" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert list((tmp_path / "temporary").iterdir()) == []
