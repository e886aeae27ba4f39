"""`settings show` and `settings set` as a person reads them."""

from pathlib import Path

import pytest

from tests.support.console import Console


@pytest.fixture
def program(home: Path) -> Console:
    program = Console(home)
    program.run("init", "--email", "ada@example.org")
    return program


def test_a_set_tells_what_it_changed_and_from_what(program: Console) -> None:
    told = program.run("settings", "set", "lateness=3d", "grace=1h").stdout.splitlines()
    assert told == ["set lateness to 3d; it was 1w", "nothing to change: grace is already 1h"]
    rows = {row["key"]: row for row in program.run("settings", "set", "lateness=2d", "--json").json()}
    assert (rows["lateness"]["before"], rows["lateness"]["value"]) == ("3d", "2d")
    assert rows["grace"]["before"] is None


def test_each_setting_is_shown_as_it_is_typed_with_its_meaning_below(program: Console) -> None:
    program.run("settings", "set", "lateness=3d")
    lines = program.on_terminal(80, "settings", "show")
    shown = dict(zip(lines[::2], lines[1::2], strict=True))
    assert "lateness=3d (default 1w)" in shown
    assert "grace=1h (the default)" in shown
    assert "default_user=ada@example.org" in shown
    assert all(about.startswith("  ") and len(about) <= 100 for about in shown.values())
