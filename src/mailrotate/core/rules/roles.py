"""What each role may do (A6): one table, which the services ask and `user roles` prints."""

from collections.abc import Mapping
from enum import StrEnum

from mailrotate.core.values.states import Role


class Deed(StrEnum):
    """An action that a role can allow."""

    OWN_SEAT = "own_seat"
    PEOPLE = "people"
    SEE_TEAM = "see_team"
    SLOTS = "slots"
    CONTACTS = "contacts"
    ANY_SEAT = "any_seat"
    USERS = "users"
    CAMPAIGNS = "campaigns"
    UNSUPPRESS = "unsuppress"
    PLAN = "plan"
    SETTINGS = "settings"
    REQUESTS = "requests"
    WEBHOOKS = "webhooks"


WORDS: Mapping[Deed, str] = {
    Deed.OWN_SEAT: "use one's own mailboxes, make campaigns",
    # For every role: a user who cannot see suppressions would write to suppressed people.
    Deed.PEOPLE: "see and correct every contact, see and add to all suppressions",
    Deed.SEE_TEAM: "see the mailboxes, campaigns and messages of all users",
    Deed.SLOTS: "buy, assign and remove slots of any user",
    Deed.CONTACTS: "give any contact to another owner",
    Deed.ANY_SEAT: "connect and change the mailboxes of any user",
    Deed.USERS: "add users, give them roles, lock, unlock and remove them",
    Deed.CAMPAIGNS: "run the campaigns of any user, and settle their messages",
    Deed.UNSUPPRESS: "take suppressions away",
    Deed.PLAN: "change the plan",
    Deed.SETTINGS: "change the workspace's settings, the providers' limits and the key",
    Deed.REQUESTS: "approve and deny requested mailboxes",
    Deed.WEBHOOKS: "see, add, test and remove webhooks",
}

_EVERYBODYS = frozenset({Deed.OWN_SEAT, Deed.PEOPLE})
MAY: Mapping[Role, frozenset[Deed]] = {
    Role.MEMBER: _EVERYBODYS,
    Role.MANAGER: _EVERYBODYS | {Deed.SEE_TEAM, Deed.SLOTS, Deed.CONTACTS, Deed.CAMPAIGNS, Deed.UNSUPPRESS},
    Role.ADMIN: frozenset(Deed),
}


def may(role: Role, deed: Deed) -> bool:
    return deed in MAY[role]


def may_on_seat(role: Role, is_own: bool, of_others: Deed = Deed.ANY_SEAT) -> bool:
    """Whether a user may act on a seat: their own, or another with the deed `of_others`."""
    return may(role, Deed.OWN_SEAT if is_own else of_others)


def roles_that_may(deed: Deed) -> list[Role]:
    return [role for role in Role if may(role, deed)]
