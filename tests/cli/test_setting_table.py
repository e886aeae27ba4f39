"""A setting of a mailbox is one entry of a table, and few files are entered to change it (B3)."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import mailrotate
from mailrotate.core.store import tables as t
from mailrotate.core.store import workspaces
from mailrotate.core.values.own_settings import SETTINGS, OwnSettings, load
from tests.support.console import Console
from tests.support.rows import Workspace

SOURCE = str(Path(mailrotate.__file__).parent)
ANNA = "anna@example.org"
# From the root command to the rows: what a reader follows to see one number being set.
MOST_FILES = 32


def files_entered(console: Console, *command: str) -> set[str]:
    """The source files of which the command calls a function, when all that it imports is there already."""
    entered: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            entered.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        console.run(*command)
    finally:
        sys.setprofile(None)
    return {name.removeprefix(SOURCE + "/") for name in entered if name.startswith(SOURCE)}


def test_setting_a_number_enters_few_files(console: Console, workspace: Workspace) -> None:
    workspace.add_mailbox(ANNA)
    with workspace.store.writing() as connection:
        workspaces.change(connection, default_user_id=workspace.admin.id)
    console.run("mailbox", "set", ANNA, "--gap", "80s")
    entered = files_entered(console, "mailbox", "set", ANNA, "--gap", "90s")
    assert "core/values/own_settings.py" in entered
    assert len(entered) <= MOST_FILES, "\n".join(sorted(entered))


def test_b3_each_setting_has_columns_of_its_own_that_hold_its_default() -> None:
    columns = [column for setting in SETTINGS.values() for column in setting.columns]
    assert set(columns) <= set(t.connection.c.keys())
    assert len(set(columns)) == len(columns)
    defaults = {column.name: column.default and column.default.arg for column in t.connection.c}
    assert load(defaults.get) == OwnSettings()
    taken_back = [setting.stored(None) for setting in SETTINGS.values()]
    assert load({name: value for each in taken_back for name, value in each.items()}.get) == OwnSettings()


def test_b3_help_and_show_list_the_settings_of_the_table(console: Console, workspace: Workspace) -> None:
    workspace.add_mailbox(ANNA)
    command = ("--as", workspace.admin.email, "mailbox")
    told = console.run(*command, "set", "--help").stdout
    shown = console.run(*command, "show", ANNA, "--json").json()["settings"]
    for key, setting in SETTINGS.items():
        assert f"{setting.flag} {setting.metavar}" in told
        assert shown[key]["from"] == setting.follows
