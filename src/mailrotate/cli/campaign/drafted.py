"""The report on a stored draft."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailrotate.cli.output import Speech
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.rules.campaign_file import CampaignPlan
    from mailrotate.core.services.campaigns.drafting import Drafted


def tell_drafted(speech: Speech, drafted: "Drafted", words: str) -> None:
    senders = ", ".join(drafted.senders)
    how = f"rotating ({drafted.rotation}) over {senders}" if drafted.rotation else f"from {senders}"
    speech.result(
        {
            "id": f"c_{drafted.id}",
            "name": drafted.name,
            "version": drafted.version,
            "state": drafted.state,
            "rotation": drafted.rotation,
            "senders": list(drafted.senders),
            "steps": drafted.step_count,
        },
        f"{words}: {steps_of(drafted.step_count)}, {how}",
    )
    warn_misnamed(speech, drafted.misnamed)


def warn_misnamed(speech: Speech, misnamed: Sequence[tuple[str, str]]) -> None:
    """Senders under whose address recipients see a name that seems to be someone else's."""
    for address, name in misnamed:
        change = Command("mailbox", "set", address, "--sender-name", "NAME")
        speech.warn(Hint(f"recipients see {name} <{address}>; to change the name:", change))


def tell_warnings(speech: Speech, plan: "CampaignPlan") -> None:
    """What may not look as it is written, each with its line."""
    for warning in plan.warnings:
        speech.warn(warning)


def steps_of(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
