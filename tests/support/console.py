"""The command line in this process: for tests that type many commands, where a process each takes too long.

What it leaves out are the interpreter's start and its end; `program.py` has both.
"""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from mailrotate.cli.main import main
from mailrotate.cli.output import Speech
from mailrotate.core.store.engine import Store
from mailrotate.core.values.errors import MailrotateError
from tests.support.program import Completed


class Console:
    """`mailrotate` for one person, whose key lies in `home`, on the database of `store`."""

    def __init__(self, home: Path, store: Store) -> None:
        url = store.engine.url.render_as_string(hide_password=False)
        database = str(store.path or url.replace("+psycopg", ""))
        self.store = store
        # Everything that any command has said.
        self.said: list[str] = []
        self._env = {
            "HOME": str(home),
            "MAILROTATE_CONFIG": str(home / "config.toml"),
            "MAILROTATE_DB": database,
            "MAILROTATE_KEY_FILE": str(home / "workspace.key"),
        }
        (home / "config.toml").touch()

    def run(self, *args: str, input: str = "", check_status: int | None = 0) -> Completed:
        """Run to its end; `check_status` None allows any."""
        out, err = StringIO(), StringIO()
        errors: list[MailrotateError] = []
        tell = Speech.error

        def keep(speech: Speech, error: MailrotateError) -> None:
            errors.append(error)
            tell(speech, error)

        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self._env.items():
                patch.setenv(name, value)
            patch.setattr(Speech, "error", keep)
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(input.encode())))
            with pytest.raises(SystemExit) as ended:
                main(list(args))
        status = ended.value.code
        assert isinstance(status, int)
        self.said += [out.getvalue(), err.getvalue()]
        if check_status is not None:
            assert status == check_status, f"{args}: {status}\n{out.getvalue()}\n{err.getvalue()}"
        return Completed(status, out.getvalue(), err.getvalue(), errors[0].hint if errors else None)


@pytest.fixture
def console(store: Store, tmp_path: Path) -> Console:
    """On an empty database of each kind."""
    return Console(tmp_path, store)
