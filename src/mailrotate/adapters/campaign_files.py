"""Read a campaign's TOML file and the files it names: Markdown bodies and attachments."""

import stat
from pathlib import Path

from mailrotate.adapters.holiday_calendar import check_holidays
from mailrotate.core.rules.campaign_file import CampaignPlan, Unreadable, files_named, read_plan
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.letter import MOST_ATTACHED_BYTES

# Bytes. The template check limits a body in characters; here it only has to fit in memory.
LARGEST_CAMPAIGN_FILE = 1_000_000


def read_campaign(path: Path) -> CampaignPlan:
    """Read the campaign of a TOML file; file names in it are relative to its folder.

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
    files = {name: _read(path.parent / name, MOST_ATTACHED_BYTES) for name in files_named(text)}
    return read_plan(text, str(path), files, check_holidays)


def _read(path: Path, most_bytes: int) -> bytes | Unreadable:
    try:
        # Checked first: opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            return Unreadable("is not a file")
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as trouble:
        return Unreadable(f"cannot be read: {trouble.strerror}")
    except ValueError as trouble:  # a NUL in the name
        return Unreadable(f"cannot be read: {trouble}")
    if len(content) > most_bytes:
        return Unreadable(f"is larger than {most_bytes / 1e6:g} MB")
    return content
