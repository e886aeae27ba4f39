"""I1: a sealed row opens with the workspace's key, in its own record, and in no other way."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mailrotate.adapters.key_ring import Key, KeyRing
from mailrotate.adapters.secret_box import RingBox, key_id_of
from mailrotate.core.ports import SecretBox
from mailrotate.core.values.errors import KeyTrouble

names, generations = st.text(max_size=40), st.integers(0, 2**63 - 1)
RING = KeyRing.fresh()
BOX: SecretBox = RingBox(lambda: RING)


@given(names, generations, st.binary(max_size=300))
def test_what_is_sealed_opens_again_and_is_not_seen(name: str, generation: int, plain: bytes) -> None:
    blob = BOX.seal(name, generation, plain)
    assert BOX.open(name, generation, blob) == plain
    assert len(plain) < 4 or plain not in blob
    assert key_id_of(blob) == RING.newest.id


@given(st.binary(max_size=30), st.data())
def test_one_flipped_bit_anywhere_is_noticed(plain: bytes, data: st.DataObject) -> None:
    blob = bytearray(BOX.seal("connection 3", 1, plain))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyTrouble) as trouble:
        BOX.open("connection 3", 1, bytes(blob))
    assert trouble.value.code == ("key.wrong" if 8 <= bit < 40 else "secret.damaged")


@given(names, generations, names, generations)
def test_a_blob_does_not_open_in_another_record_or_generation(
    name: str, generation: int, other: str, later: int
) -> None:
    assume((name, generation) != (other, later))
    with pytest.raises(KeyTrouble) as trouble:
        BOX.open(other, later, BOX.seal(name, generation, b"secret"))
    assert trouble.value.code == "secret.damaged"


@given(st.binary(max_size=80))
def test_bytes_that_were_never_sealed_are_refused(blob: bytes) -> None:
    with pytest.raises(KeyTrouble):
        BOX.open("connection 3", 1, blob)


def test_every_cut_of_a_blob_is_refused() -> None:
    blob = BOX.seal("connection 3", 1, b"secret")
    for length in range(len(blob)):
        with pytest.raises(KeyTrouble):
            BOX.open("connection 3", 1, blob[:length])


def test_the_same_secret_never_seals_the_same() -> None:
    assert BOX.seal("a", 1, b"x") != BOX.seal("a", 1, b"x")


def test_the_newest_key_seals_and_every_key_of_the_ring_opens() -> None:
    both = RING.with_new_key()
    old, new = BOX.seal("a", 1, b"x"), RingBox(lambda: both).seal("a", 1, b"x")
    assert (key_id_of(old), key_id_of(new)) == (RING.newest.id, both.newest.id)
    assert RingBox(lambda: both).open("a", 1, old) == RingBox(lambda: both).open("a", 1, new) == b"x"


def test_the_wrong_key_is_told_from_damage_and_names_the_key_it_needs() -> None:
    blob = BOX.seal("anna@example.org", 1, b"canary")
    with pytest.raises(KeyTrouble) as wrong:
        RingBox(KeyRing.fresh).open("anna@example.org", 1, blob)
    with pytest.raises(KeyTrouble) as damaged:
        BOX.open("anna@example.org", 1, blob[:-1] + bytes([blob[-1] ^ 1]))
    assert (wrong.value.code, damaged.value.code) == ("key.wrong", "secret.damaged")
    assert RING.newest.id.hex() in wrong.value.message
    assert "anna@example.org" in damaged.value.message
    for trouble in (wrong.value, damaged.value):
        assert "canary" not in repr(vars(trouble)) + repr(trouble)


def test_a_running_process_follows_a_rekey() -> None:
    rings: Iterator[KeyRing] = iter([RING, both := RING.with_new_key(), alone := both.only_newest()])
    box = RingBox(lambda: next(rings))
    assert box.open("a", 1, BOX.seal("a", 1, b"x")) == b"x"
    assert box.open("a", 1, RingBox(lambda: alone).seal("a", 1, b"y")) == b"y"
    assert key_id_of(box.seal("a", 1, b"z")) == both.newest.id


def test_the_key_is_asked_for_once_however_many_threads_need_it() -> None:
    loads, start = [], Barrier(8)

    def load() -> KeyRing:
        loads.append(1)
        return RING

    box, blob = RingBox(load), BOX.seal("a", 1, b"x")

    def open_blob() -> None:
        start.wait()
        box.open("a", 1, blob)

    threads = [Thread(target=open_blob) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_a_missing_key_is_the_callers_own_trouble_each_time() -> None:
    def load() -> KeyRing:
        raise KeyTrouble("key.missing", "no key")

    box = RingBox(load)
    for _ in range(2):
        with pytest.raises(KeyTrouble, match="no key"):
            box.open("a", 1, BOX.seal("a", 1, b"x"))
        with pytest.raises(KeyTrouble, match="no key"):
            box.seal("a", 1, b"x")


def test_the_cipher_is_the_one_of_rfc_8439() -> None:
    """A blob made by hand, so that the layout of stored rows cannot change unseen."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    key = Key(bytes(range(32)))
    bound = b"\x00\x00\x00\x0cconnection 3" + b"\x00\x00\x00\x00\x00\x00\x00\x02"
    blob = b"\x01" + key.id + b"n" * 12 + ChaCha20Poly1305(key.secret).encrypt(b"n" * 12, b"secret", bound)
    assert RingBox(lambda: KeyRing((key,))).open("connection 3", 2, blob) == b"secret"
