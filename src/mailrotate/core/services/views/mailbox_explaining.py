"""Why a mailbox sends nothing now, by what waits in its lane: the answer that `status` gives too."""

from mailrotate.core.rules.decision import verdicts
from mailrotate.core.rules.gates import Scope
from mailrotate.core.rules.situation import Situation
from mailrotate.core.rules.world import Lane
from mailrotate.core.services.access import advice, authority
from mailrotate.core.services.deciding.next_send import Prospects
from mailrotate.core.services.effects import resuming
from mailrotate.core.services.views import survey
from mailrotate.core.services.views.explanation import Explanation, shown
from mailrotate.core.store import visibility
from mailrotate.core.values.hint import AnyHint


def of_mailbox(look: Prospects, mailbox_id: int) -> Explanation:
    """Explain a mailbox by what waits in its lane, as `status` does; an idle one by its own gates alone."""
    (lane,) = survey.lanes(look, [mailbox_id])
    known = look.mailbox_facts(mailbox_id)
    own = verdicts(Situation(None, known, None), look.now)
    cause, decision = lane.cause, lane.decision
    others = () if cause is None or cause.gate in {verdict.gate for verdict in own} else (cause,)
    rows = tuple(map(shown, (*own, *others)))
    if decision is not None and decision.open:
        summary = "nothing holds it back: the next pass of a runner sends its next message"
    elif cause is None:
        summary = "nothing holds the mailbox back, and nothing waits to be sent from it"
    elif cause.gate.scope is Scope.MAILBOX:
        is_idle = decision is None and lane.kept is None
        # What passes by itself holds nothing back where nothing waits.
        said = [cause.reason] * (not is_idle or cause.until is None)
        summary = "; ".join((*said, *["nothing waits to be sent from it"] * is_idle))
    else:
        summary = f"nothing holds the mailbox back, but what it would send waits: {cause.reason}"
    binding = None if cause is None else cause.gate
    remedy = _remedy_of_lane(look, lane)
    return Explanation(known.address, lane.next_at, binding, rows, summary, remedy)


def _remedy_of_lane(look: Prospects, lane: Lane) -> AnyHint | None:
    """The command that opens what only an act opens, unless the acting user does not see the campaign."""
    cause, actor = lane.cause, look.context.actor
    if cause is None or cause.until is not None or lane.next_at is not None:
        return None
    if lane.kept is None or cause is not lane.kept.pause:
        return advice.remedy(look.connection, actor, cause)
    viewer = authority.viewer_of(look.connection, actor)
    seen = None if viewer is None else visibility.campaign_ids(look.connection, viewer)
    first = next((one for one in lane.kept.campaign_ids if seen is None or one in seen), None)
    return None if first is None else resuming.way(look.connection, actor, look.campaign(first))
