"""What there is to say about a value of a campaign file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """A sentence about a value; a mistake keeps the campaign from being used."""

    message: str
    is_mistake: bool
