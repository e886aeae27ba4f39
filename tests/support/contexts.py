"""What services are called with: a real key, the real mail providers, and somebody who acts."""

import atexit
import shutil
import tempfile
from pathlib import Path

from mailrotate.adapters.holiday_calendar import HolidayCalendar
from mailrotate.adapters.key_ring import KeyRing
from mailrotate.adapters.mark_file import MarkFile
from mailrotate.adapters.secret_box import RingBox
from mailrotate.adapters.webhook_poster import HttpPoster
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context
from mailrotate.core.store import workspaces
from mailrotate.core.store.events import Actor
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.mail import Timeouts
from mailrotate.providers.registry import provider_for
from tests.support.rows import Workspace

SHORT = Timeouts(connect=5, command=5, dot=5)
# The mark files of all workspaces that this process makes.
_MARKS = Path(tempfile.mkdtemp(prefix="mailrotate-marks-"))
atexit.register(shutil.rmtree, _MARKS, ignore_errors=True)


class KeyInMemory:
    """Where a test keeps the workspace's keys: what a process finds there is `ring`."""

    def __init__(self) -> None:
        self.ring = KeyRing.fresh()

    def load(self) -> KeyRing:
        return self.ring

    def store(self, ring: KeyRing) -> None:
        self.ring = ring


def mark_of(workspace: Workspace) -> MarkFile:
    """What one process on this machine knows of the workspace outside its database."""
    with workspace.store.reading() as connection:
        known = workspaces.find(connection)
    assert known is not None
    return MarkFile(_MARKS, known.identity)


def context_of(
    workspace: Workspace, user: StoredUser | None = None, key: KeyInMemory | None = None
) -> Context:
    """One process's context; with `key`, of the workspace whose key that already is."""
    context = Context(
        store=workspace.store,
        secrets=RingBox((key or KeyInMemory()).load),
        provider=lambda name: provider_for(name, SHORT),
        holidays=HolidayCalendar(),
        mark=mark_of(workspace),
        webhooks=lambda: HttpPoster(seconds_in_all=1),
        actor=Actor((user or workspace.admin).id, "tester"),
    )
    if key is None:
        accounts.note_key(context)
    return context
