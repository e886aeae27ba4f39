"""The names that shell completion offers to the acting user (A6, A10). Imports nothing slow: Tab waits."""

from collections.abc import Sequence

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.store import names
from mailrotate.core.store.names import Ask, Names
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.states import Role


def offered(ask: Ask, wanted: Sequence[Names], email: str | None, **typed: str) -> list[str]:
    """List the names that the user `email`, or the default user, may see.

    Empty for a locked or unknown user. Raises BadInput if `email` is not an address.
    """
    if list(wanted) == [Names.ACTORS]:
        return names.listing(ask, Names.ACTORS, None)
    found = names.acting(ask, None if email is None else normalise_address(email))
    if found is None:
        return []
    user_id, role = found
    viewer = None if roles.may(Role(role), Deed.SEE_TEAM) else user_id
    return [name for kind in wanted for name in names.listing(ask, kind, viewer, **typed)]
