"""A secret cannot be shown by accident (I1)."""

import copy
import json
import logging
import pickle

import pytest

from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import Endpoint, MailAccount
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security

WORD = "correct horse battery staple"


def test_i1_no_way_of_printing_shows_a_secret() -> None:
    secret = Secret(WORD)
    endpoint = Endpoint("mail.example.org", 465, Security.TLS)
    account = MailAccount("a@example.org", "imap", endpoint, endpoint, "a", Password(secret))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "it is %s", (secret,), None)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", str([secret]), repr(account)]
    for text in [*shown, record.getMessage(), str(ValueError(secret))]:
        assert WORD not in text
        assert "Secret(…)" in text


def test_i1_only_reveal_gives_the_text() -> None:
    assert Secret(WORD).reveal() == WORD


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, copy.copy, copy.deepcopy])
def test_i1_a_secret_is_not_written_anywhere(write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError):
        write(Secret(WORD))


def test_equal_secrets_are_equal() -> None:
    assert Secret(WORD) == Secret(WORD)
    assert len({Secret(WORD), Secret(WORD), Secret("another")}) == 2
    assert Secret(WORD) != WORD


def test_i1_a_secret_carries_nothing_else() -> None:
    with pytest.raises(AttributeError):
        Secret(WORD).hint = "no"  # type: ignore[attr-defined]  # what slots forbid
