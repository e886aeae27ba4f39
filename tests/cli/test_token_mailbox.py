"""What people see of a mailbox that logs in with a token, whose provider no command knows (I1, C2)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailrotate.adapters.secret_box import RingBox
from mailrotate.adapters.workspace_key import WorkspaceKey
from mailrotate.core.services.mailboxes import connecting
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.store.workspaces import user_by_email
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.mail import ServerGuess
from mailrotate.sandbox.server import Sandbox
from tests.support import tokens
from tests.support.canary import said_with
from tests.support.console import Console
from tests.support.contexts import KeyInMemory, context_of
from tests.support.rows import Workspace
from tests.support.tokens import REVOKED, Issuer

ANNA = "anna@sandbox.example.org"


@pytest.fixture
def issuer(console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Has given the token of a mailbox that is connected."""
    with Sandbox() as sandbox:
        issuer = Issuer(system_clock(), sandbox.info.password)
        tokens.register(monkeypatch, issuer)
        console.run("init", "--email", ANNA, "--name", "Anna")
        with console.store.reading() as connection:
            admin = user_by_email(connection, ANNA)
        assert admin is not None
        key = WorkspaceKey("", tmp_path / "workspace.key", None, {})
        context = context_of(Workspace(console.store, admin), key=KeyInMemory())
        servers = ServerGuess(tokens.NAME, sandbox.info.smtp, sandbox.info.imap, "flags")
        wanted = NewConnection(ANNA, servers, issuer.sign_in(), {})
        connecting.connect(replace(context, secrets=RingBox(key.load)), wanted, issuer.now)
        yield issuer


def test_i1_no_command_shows_a_token_that_is_stored_renewed_or_refused(
    console: Console, issuer: Issuer
) -> None:
    tested = console.run("mailbox", "test", ANNA, "--json").json()
    assert [(one["passed"], one["error"]) for one in tested] == [(True, None)]
    issuer.revoke_access()
    console.run("mailbox", "test", ANNA)
    assert issuer.renewals == 1
    issuer.revoke_access()
    issuer.trouble = REVOKED
    refused = console.run("mailbox", "test", ANNA, "--json", check_status=5).error()
    assert refused["code"] == "connect.auth"
    assert "invalid_grant" in refused["message"]
    assert refused["hint"] == f"mailrotate mailbox reconnect {ANNA}"
    console.run("mailbox", "set", ANNA, "--username", "anna", check_status=5)
    console.run("secret", "rekey")
    for words in (("mailbox", "show", ANNA), ("mailbox", "list"), ("status",), ("log",), ("why", ANNA)):
        console.run(*words, check_status=None)
        console.run(*words, "--json", check_status=None)
    assert said_with("canary-access", console.said) == []
    assert said_with("canary-refresh", console.said) == []
