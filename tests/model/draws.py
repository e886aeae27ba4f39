"""What the machine draws: who, how many, when, and whole episodes of trouble."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st

from tests.model.world import ANNA, BEN, CAMPAIGNS, CLEO, DORA, PEOPLE, ROOT, UNA, VIC, Death

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))

mailboxes = st.sampled_from((ANNA, ANNA, BEN, BEN, CLEO, DORA))
rotations = st.sampled_from(("intro", "intro", "duo", "room", "team"))
users = st.sampled_from((ROOT, UNA, VIC))
campaigns = st.sampled_from(tuple(CAMPAIGNS))
ways_back = st.sampled_from(
    (("test",), ("reconnect", "--password-stdin"), ("reconnect", "--password-stdin", "--resume"))
)
new_people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True)
picks = st.integers(0, 30)
deaths = st.builds(Death, st.sampled_from((1, 1, 2, 2, 3, 4)), st.booleans())
# Most commands have two or three transactions; a pass has about 70 when everyone is due.
deaths_in_a_pass = st.builds(Death, st.integers(1, 60), st.booleans())
intervals = st.sampled_from(
    (SECOND, 10 * MINUTE, HOUR - SECOND, HOUR, 2 * HOUR, 12 * HOUR, DAY, DAY, DAY + MINUTE, 3 * DAY, 8 * DAY)
)
around_an_end = st.sampled_from((-10 * MINUTE, -SECOND, timedelta(), timedelta(), SECOND))


@dataclass(frozen=True)
class Episode:
    """A mailbox gets into trouble, people join two rotations, and the trouble ends, or not.

    The combinations of commands that a promise is about come together too rarely if each is drawn alone.
    """

    mailbox: str
    trouble: str
    end: str
    # Whether messages wait for the mailbox.
    has_messages: bool
    campaign: str
    new: list[str]
    way: tuple[str, ...]
    after: timedelta


episodes = st.builds(
    Episode,
    mailboxes,
    st.sampled_from(("failed", "disconnected", "locked", "removed")),
    st.sampled_from(("back", "over", "")),
    st.booleans(),
    rotations,
    new_people,
    ways_back,
    intervals,
)
