"""The two halves of a rekey, in the place where the workspace keys are stored."""

from mailrotate.adapters.secret_box import RingBox, key_id_of
from mailrotate.adapters.workspace_key import WorkspaceKey


class KeyChange:
    """A KeyPlace (`core.ports`)."""

    def __init__(self, key: WorkspaceKey) -> None:
        self._key = key

    def add_key(self) -> RingBox:
        """See KeyPlace."""
        ring = self._key.load().with_new_key()
        self._key.store(ring)
        return RingBox(lambda: ring)

    def drop_older_keys(self, check: bytes) -> None:
        """See KeyPlace. If the newest key is a different one, another rekey is running and will do it."""
        ring = self._key.load()
        if ring.newest.id == key_id_of(check):
            self._key.store(ring.only_newest())
