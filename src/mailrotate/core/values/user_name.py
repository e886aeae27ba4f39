"""The name of a user, which recipients read before the address."""

from mailrotate.core.values.errors import BadInput

_LONGEST = 200
_QUOTED = 60
_HINT = "write it like 'Anna Example'"


def read_user_name(text: str) -> str:
    """A name without the blanks around it. Raises BadInput (`user.name`)."""
    name = text.strip()
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise BadInput(
            "user.name",
            f"{name[:_QUOTED]!r} is not a name: it is one line of 1 to {_LONGEST} characters",
            _HINT,
        )
    if "@" in name:
        raise BadInput("user.name", f"{name[:_QUOTED]!r} looks like an address, not like a name", _HINT)
    return name
