"""The team's slot counts, as `slot list` and `status` show them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.slot_pool import TeamSlots


def team_line(team: "TeamSlots") -> str:
    """The team's counts in words (A3)."""
    return f"team: {team.connected}/{team.total} connected, {team.unassigned} unassigned"


def team_row(team: "TeamSlots") -> dict[str, Any]:
    """The team's counts for a script (A3)."""
    return {
        "team": {"connected": team.connected, "total": team.total, "unassigned": team.unassigned},
    }
