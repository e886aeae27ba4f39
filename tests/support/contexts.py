"""What services are called with: a real key, the real mail providers, and somebody who acts."""

from mailrotate.adapters.holiday_calendar import HolidayCalendar
from mailrotate.adapters.key_ring import KeyRing
from mailrotate.adapters.secret_box import RingBox
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context
from mailrotate.core.store.events import Actor
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.mail import Timeouts
from mailrotate.providers.registry import provider_for
from tests.support.rows import Workspace

SHORT = Timeouts(connect=5, command=5, dot=5)


class KeyInMemory:
    """Where a test keeps the workspace's keys: what a process finds there is `ring`."""

    def __init__(self) -> None:
        self.ring = KeyRing.fresh()

    def load(self) -> KeyRing:
        return self.ring

    def store(self, ring: KeyRing) -> None:
        self.ring = ring


def context_of(
    workspace: Workspace, user: StoredUser | None = None, key: KeyInMemory | None = None
) -> Context:
    """One process's context; with `key`, of the workspace whose key that already is."""
    context = Context(
        store=workspace.store,
        secrets=RingBox((key or KeyInMemory()).load),
        provider=lambda name: provider_for(name, SHORT),
        holidays=HolidayCalendar(),
        actor=Actor((user or workspace.admin).id, "tester"),
    )
    if key is None:
        accounts.note_key(context)
    return context
