"""What each role may do: the table of A6."""

import pytest

from mailrotate.core.rules.roles import MAY, WORDS, Deed, may_on_seat, roles_that_may
from mailrotate.core.values.states import Role


def test_a6_the_table_knows_every_role_and_has_words_for_every_deed() -> None:
    assert set(MAY) == set(Role)
    assert set(WORDS) == set(Deed)


def test_a6_members_have_their_own_seat_managers_slots_too_and_admins_everything() -> None:
    assert MAY[Role.MEMBER] == {Deed.OWN_SEAT, Deed.PEOPLE}
    assert set(Deed) - MAY[Role.MANAGER] == {
        Deed.ANY_SEAT,
        Deed.USERS,
        Deed.PLAN,
        Deed.REQUESTS,
        Deed.SETTINGS,
        Deed.WEBHOOKS,
    }
    assert MAY[Role.ADMIN] == set(Deed)


@pytest.mark.parametrize(
    ("role", "acts_for_others", "sees_others"),
    [(Role.MEMBER, False, False), (Role.MANAGER, False, True), (Role.ADMIN, True, True)],
)
def test_a6_on_the_seat_of_another_the_role_decides(
    role: Role, acts_for_others: bool, sees_others: bool
) -> None:
    assert may_on_seat(role, is_own=True)
    assert may_on_seat(role, is_own=False) is acts_for_others
    assert may_on_seat(role, is_own=False, of_others=Deed.SEE_TEAM) is sees_others


def test_a6_a_refusal_can_name_who_may_instead() -> None:
    assert roles_that_may(Deed.USERS) == [Role.ADMIN]
    assert set(roles_that_may(Deed.SLOTS)) == {Role.ADMIN, Role.MANAGER}
