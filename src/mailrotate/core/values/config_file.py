"""What the config file may contain."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.mail import Timeouts

_FILE_KEYS = ("db", "user", "key_file", "mark_folder")


def check_config(path: Path, content: Mapping[str, Any]) -> None:
    """Raise BadInput (`config.invalid`) with every mistake."""
    timeouts = content.get("timeouts", {})
    known = [f.name for f in fields(Timeouts)]
    problems = [
        f"{path}: '{key}' is not a setting; allowed are {', '.join((*_FILE_KEYS, 'timeouts'))}"
        for key in content
        if key not in (*_FILE_KEYS, "timeouts")
    ]
    problems += [
        f"{path}: '{key}' must be a text" for key in _FILE_KEYS if not isinstance(content.get(key, ""), str)
    ]
    if not isinstance(timeouts, dict):
        problems.append(f"{path}: 'timeouts' must be a table of seconds: {', '.join(known)}")
    else:
        problems += [
            f"{path}: 'timeouts.{key}' must be one of {', '.join(known)}, in seconds above 0"
            for key, value in timeouts.items()
            if key not in known
            or isinstance(value, bool)
            or not isinstance(value, int | float)
            or not value > 0
        ]
    if problems:
        raise BadInput("config.invalid", problems[0], f"edit {path}", problems)
