"""What a mailbox logs in with: never shown, and stored in a form that stays readable (I1)."""

import copy
import json
import pickle
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mailrotate.core.values.credential import Credential, OAuthToken, Password, pack, unpack
from mailrotate.core.values.errors import KeyTrouble
from mailrotate.core.values.mail import Endpoint, MailAccount
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PASSWORD = Password(Secret("canary-password"))
TOKEN = OAuthToken(Secret("canary-access"), Secret("canary-refresh"), NOON, ("mail", "offline"))
BOTH = pytest.mark.parametrize("credential", [PASSWORD, TOKEN], ids=["password", "token"])


@BOTH
def test_i1_no_way_of_printing_shows_a_credential(credential: Credential) -> None:
    endpoint = Endpoint("mail.example.org", 465, Security.TLS)
    account = MailAccount("a@example.org", "imap", endpoint, endpoint, "a", credential)
    for shown in (
        repr(credential),
        str(credential),
        f"{[credential]}",
        repr(account),
        str(ValueError(account)),
    ):
        assert "canary" not in shown
        assert "Secret(…)" in shown


@BOTH
@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, copy.deepcopy, asdict])
def test_i1_a_credential_is_not_written_anywhere(credential: Credential, write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError) as refused:
        write(credential)
    assert "canary" not in str(refused.value)


@BOTH
def test_i1_every_secret_of_a_credential_is_named_so_that_it_can_be_blanked(credential: Credential) -> None:
    texts = {secret.reveal() for secret in credential.secrets}
    assert {text for text in texts if text.encode() in pack(credential)} == texts
    assert pack(credential).count(b"canary") == len(texts)


@BOTH
def test_i1_the_stored_form_opens_as_it_was(credential: Credential) -> None:
    assert unpack(pack(credential)) == credential


def test_i1_a_token_of_16_kb_and_of_any_letters_is_stored_whole() -> None:
    long = replace(TOKEN, access=Secret("ä\0" * 8192), refresh=Secret("/" * 16384))
    assert unpack(pack(long)) == long


def test_i1_a_password_is_stored_as_its_text_as_in_the_first_databases() -> None:
    assert pack(PASSWORD) == b"canary-password"
    assert unpack("pässwörd €".encode()) == Password(Secret("pässwörd €"))
    assert unpack(b'{"access": "a password may look like anything"}').kind == "password"


def test_i1_a_form_that_is_not_known_yet_is_our_own_trouble_and_shows_nothing() -> None:
    with pytest.raises(KeyTrouble) as trouble:
        unpack(b"\0\x02canary")
    assert trouble.value.code == "secret.form"
    assert "canary" not in f"{trouble.value.message} {trouble.value!r}"


def test_a_password_cannot_be_taken_for_another_form() -> None:
    with pytest.raises(ValueError, match="NUL"):
        Password(Secret("\0\x01canary"))


def test_a_token_is_due_shortly_before_it_expires_and_a_password_never() -> None:
    minute = timedelta(minutes=1)
    assert [TOKEN.is_due(NOON - 5 * minute - second) for second in (minute, timedelta())] == [False, True]
    assert TOKEN.is_due(NOON + minute)
    assert not PASSWORD.is_due(NOON)


def test_a_token_is_due_at_the_same_instant_in_every_time_zone() -> None:
    auckland = timezone(timedelta(hours=13))
    stored = unpack(pack(replace(TOKEN, expires_at=NOON.astimezone(auckland))))
    assert stored == TOKEN
    assert not stored.is_due(NOON - timedelta(minutes=6))
