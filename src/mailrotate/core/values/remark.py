"""A remark about a value of a campaign file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """One sentence; if it is about a mistake, the campaign cannot be used."""

    message: str
    is_mistake: bool
