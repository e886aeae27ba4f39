"""The workspace's key: changing it, dying while it is changed, and having a wrong one (I1)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mailrotate.adapters.key_change import KeyChange
from mailrotate.adapters.key_ring import KeyRing
from mailrotate.adapters.secret_box import RingBox, key_id_of
from mailrotate.core.services.access import accounts, secrets
from mailrotate.core.services.context import Context, account_of
from mailrotate.core.services.mailboxes import login_tests
from mailrotate.core.store import connections, workspaces
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store.connections import StoredLogin
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import KeyTrouble
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import ConnectionState
from tests.support.contexts import KeyInMemory, context_of
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(hours=1)
ADDRESSES = ("anna@example.org", "ben@example.org")


class Killed(BaseException):
    """The process ends here."""


class DyingPlace(KeyChange):
    """Dies before or after one of the two halves."""

    def __init__(self, key: KeyInMemory, at: str) -> None:
        super().__init__(key)  # type: ignore[arg-type]  # it loads and stores, which is all that is asked
        self._at = at

    def add_key(self) -> RingBox:
        if self._at == "before the new key":
            raise Killed
        box = super().add_key()
        if self._at == "after the new key":
            raise Killed
        return box

    def drop_older_keys(self, check: bytes) -> None:
        if self._at == "after the commit":
            raise Killed
        super().drop_older_keys(check)


def sealed(workspace: Workspace) -> tuple[KeyInMemory, Context]:
    """Two mailboxes with passwords, and the key that seals them."""
    key = KeyInMemory()
    context = context_of(workspace, key=key)
    accounts.note_key(context)
    for address in ADDRESSES:
        store_password(context, workspace.add_mailbox(address))
    return key, context


def store_password(context: Context, mailbox: Sender) -> None:
    with context.store.writing() as connection:
        box = connections.login_of(connection, mailbox.id)
        blob = secrets.seal(
            context, connection, box.connection_id, box.generation, Password(Secret(f"of {mailbox.address}"))
        )
        stored.change_connection(connection, box.connection_id, secret=blob)


def boxes(workspace: Workspace) -> list[StoredLogin]:
    with workspace.store.reading() as connection:
        return [connections.login_of(connection, box.id) for box in stored.listing(connection)]


def health_of_all(workspace: Workspace) -> list[SendingMailbox]:
    with workspace.store.reading() as connection:
        return sending_mailboxes.listing(connection)


def assert_all_open(workspace: Workspace, key: KeyInMemory) -> None:
    """For a process that starts now."""
    context = context_of(workspace, key=key)
    accounts.prove_key(context)
    for box in boxes(workspace):
        assert account_of(context, box).credential == Password(Secret(f"of {box.address}"))


def test_i1_after_a_rekey_one_new_key_opens_everything_and_the_old_one_nothing(workspace: Workspace) -> None:
    key, context = sealed(workspace)
    old = key.ring
    assert secrets.rekey(context, KeyChange(key), LATER) == 2  # type: ignore[arg-type]  # see DyingPlace
    assert len(key.ring.keys) == 1
    assert key.ring.newest.id != old.newest.id
    assert_all_open(workspace, key)
    stale = replace(context, secrets=RingBox(lambda: old))
    with pytest.raises(KeyTrouble) as wrong:
        account_of(stale, boxes(workspace)[0])
    assert wrong.value.code == "key.wrong"


@pytest.mark.parametrize("at", ["before the new key", "after the new key", "after the commit"])
def test_i1_killed_anywhere_in_a_rekey_every_secret_opens_and_the_next_rekey_ends_it(
    workspace: Workspace, at: str
) -> None:
    key, context = sealed(workspace)
    with pytest.raises(Killed):
        secrets.rekey(context, DyingPlace(key, at), LATER)
    assert_all_open(workspace, key)
    fresh = context_of(workspace, key=key)
    assert secrets.rekey(fresh, DyingPlace(key, "never"), LATER) == 2
    assert len(key.ring.keys) == 1
    assert_all_open(workspace, key)


def test_i1_what_a_process_seals_after_a_rekey_elsewhere_opens_with_the_new_key(workspace: Workspace) -> None:
    key, running = sealed(workspace)
    accounts.prove_key(running)  # it has read the old key
    secrets.rekey(context_of(workspace, key=key), DyingPlace(key, "never"), LATER)
    store_password(running, workspace.add_mailbox("clara@example.org"))
    (clara,) = (box for box in boxes(workspace) if box.address == "clara@example.org")
    assert clara.secret is not None
    assert key_id_of(clara.secret) == key.ring.newest.id
    assert_all_open(workspace, key)


def test_i1_a_rekey_that_another_overtook_leaves_the_others_keys_alone(workspace: Workspace) -> None:
    """The first dies after its commit; the second has stored its key but not used it yet."""
    key, context = sealed(workspace)
    with pytest.raises(Killed):
        secrets.rekey(context, DyingPlace(key, "after the commit"), LATER)
    with workspace.store.reading() as connection:
        found = workspaces.find(connection)
    assert found is not None
    assert found.key_check is not None
    key.store(key.ring.with_new_key())
    DyingPlace(key, "never").drop_older_keys(found.key_check)
    assert len(key.ring.keys) == 3
    assert_all_open(workspace, key)


def test_i1_a_wrong_key_is_our_own_fault_and_no_mailboxs(workspace: Workspace) -> None:
    _, context = sealed(workspace)
    wrong = replace(context, secrets=RingBox(KeyRing.fresh))
    before, health = boxes(workspace), health_of_all(workspace)
    for act in (lambda: accounts.prove_key(wrong), lambda: login_tests.test(wrong, ADDRESSES[0], LATER)):
        with pytest.raises(KeyTrouble) as trouble:
            act()
        assert trouble.value.code == "key.wrong"
    with pytest.raises(KeyTrouble):
        secrets.rekey(wrong, DyingPlace(KeyInMemory(), "never"), LATER)
    assert (boxes(workspace), health_of_all(workspace)) == (before, health)
    assert {box.state for box in health} == {ConnectionState.CONNECTED}
