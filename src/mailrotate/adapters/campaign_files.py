"""Read a campaign's TOML file and the files it names: Markdown bodies and attachments."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from mailrotate.adapters.holiday_calendar import check_holidays
from mailrotate.core.rules.campaign_file import CampaignPlan, Unreadable, files_named, read_plan
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.letter import MOST_ATTACHED_BYTES

# Bytes. The template check limits a body in characters; here it only has to fit in memory.
LARGEST_CAMPAIGN_FILE = 1_000_000
TellOutside: TypeAlias = Callable[[Path], None]


def read_campaign(
    path: Path, *, allow_outside: bool = False, tell_outside: TellOutside = lambda _path: None
) -> CampaignPlan:
    """Read the campaign of a TOML file; file names in it are relative to its folder.

    A file outside that folder, links resolved, is read only with `allow_outside`, and then told: a campaign
    file from somebody else could otherwise send any file of this machine.

    Raises NotFound (`campaign_file.missing`), BadInput (`campaign_file.unreadable`, `campaign.invalid`).
    """
    content = _read(path, LARGEST_CAMPAIGN_FILE)
    if isinstance(content, Unreadable):
        if not path.exists():
            raise NotFound("campaign_file.missing", f"there is no file '{path}'")
        raise BadInput("campaign_file.unreadable", f"'{path}' {content.reason}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as mistake:
        line = content.count(b"\n", 0, mistake.start) + 1
        raise BadInput("campaign_file.unreadable", f"{path}:{line}: is not UTF-8") from None
    files = {name: _read_named(name, path.parent, allow_outside, tell_outside) for name in files_named(text)}
    return read_plan(text, str(path), files, check_holidays)


def _read_named(
    name: str, folder: Path, allow_outside: bool, tell_outside: TellOutside
) -> bytes | Unreadable:
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError, RuntimeError) as trouble:  # a NUL in the name, a loop of links
        return Unreadable(f"cannot be read: {trouble}")
    if not path.is_relative_to(folder.resolve()):
        if not allow_outside:
            return Unreadable(f"is outside the campaign file's folder ({path}); --allow-outside reads it")
        tell_outside(path)
    return _read(path, MOST_ATTACHED_BYTES)


def _read(path: Path, most_bytes: int) -> bytes | Unreadable:
    try:
        # Opening a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                return Unreadable("is not a file")
            if status.st_size > most_bytes:
                return Unreadable(f"is larger than {most_bytes / 1e6:g} MB")
            # Not to its end: files of the kernel have no size, and reading some of them never ends.
            return stream.read(status.st_size)
    except OSError as trouble:
        if isinstance(trouble, IsADirectoryError) or trouble.errno == errno.ENXIO:
            return Unreadable("is not a file")
        return Unreadable(f"cannot be read: {trouble.strerror}")
    except ValueError as trouble:  # a NUL in the name
        return Unreadable(f"cannot be read: {trouble}")
