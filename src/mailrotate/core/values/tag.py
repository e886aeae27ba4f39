"""Validate and normalise tags."""

from mailrotate.core.values.errors import BadInput

LONGEST_TAG = 60


def read_tag(text: str) -> str:
    """Return the tag in lower case, as it is stored and compared. Raises BadInput (`tag.invalid`)."""
    tag = " ".join(text.split()).lower()
    if not tag or not tag.isprintable() or len(tag) > LONGEST_TAG:
        raise BadInput(
            "tag.invalid", f"a tag is one line of 1 to {LONGEST_TAG} characters", "write it like customer"
        )
    return tag
