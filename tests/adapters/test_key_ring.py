"""I1: the workspace's keys as a value and as a text."""

import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.adapters.key_ring import Key, KeyRing
from mailrotate.core.values.errors import KeyTrouble

A, B = base64.b64encode(b"a" * 32).decode(), base64.b64encode(b"b" * 32).decode()


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True))
def test_a_ring_is_read_as_it_was_written(keys: list[bytes]) -> None:
    ring = KeyRing(tuple(map(Key, keys)))
    assert KeyRing.parse(ring.to_text(), "here") == ring


def test_a_rekey_puts_a_new_key_first_and_then_keeps_it_alone() -> None:
    old = KeyRing.fresh()
    both = old.with_new_key()
    assert both.keys[1:] == old.keys
    assert both.newest not in old.keys
    assert both.only_newest().keys == (both.newest,)


def test_comments_empty_lines_and_windows_line_ends_are_for_people() -> None:
    text = f"# of the workspace Müller\r\n\r\nmailrotate-key 1\r\n# newest\r\n{A}\r\n{B}"
    assert [key.secret for key in KeyRing.parse(text, "here").keys] == [b"a" * 32, b"b" * 32]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "empty"),
        ("# only words\n", 1, "empty"),
        (A, 1, "should read"),
        ("mailrotate-key 2\n" + A, 1, "should read"),
        ("mailrotate-key 1\n", 1, "no key follows"),
        (f"mailrotate-key 1\n{A[:-1]}\n", 2, "not base64"),
        (f"mailrotate-key 1\n{A}\n\n{B[:20]}*{B[21:]}\n", 4, "not base64"),
        (f"mailrotate-key 1\n{A}\nÄ{B[1:]}\n", 3, "not base64"),
        (f"mailrotate-key 1\n{A[:40]}\n", 2, "30 bytes instead of 32"),
        (f"mailrotate-key 1\n{A} {B}\n", 2, "not base64"),
        (f"mailrotate-key 1\n{A}\n{B}\n{A}\n", 4, "twice"),
    ],
)
def test_a_damaged_text_is_refused_with_its_line_and_without_the_key(
    text: str, line: int, problem: str
) -> None:
    with pytest.raises(KeyTrouble, match=f"key is damaged: /etc/key, line {line}: .*{problem}") as trouble:
        KeyRing.parse(text, "/etc/key")
    assert trouble.value.code == "key.damaged"
    assert trouble.value.__cause__ is None
    assert trouble.value.__suppress_context__ or trouble.value.__context__ is None
    assert not any(part in str(vars(trouble.value)) for part in (A[:10], B[:10]))


def test_a_key_shows_itself_in_no_repr_and_is_not_pickled() -> None:
    ring = KeyRing((Key(b"a" * 32),))
    assert "aaaa" not in repr(ring) + str(ring) + f"{ring.newest}"
    with pytest.raises(TypeError):
        pickle.dumps(ring)


def test_a_ring_has_at_least_one_key_and_each_once() -> None:
    for keys in ((), (Key(b"a" * 32), Key(b"a" * 32))):
        with pytest.raises(ValueError):
            KeyRing(keys)
