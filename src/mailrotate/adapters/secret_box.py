"""Secrets as rows: authenticated encryption with the workspace's key (I1)."""

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from mailrotate.adapters.key_ring import ID_BYTES, Key, KeyRing
from mailrotate.core.values.errors import KeyTrouble
from mailrotate.core.values.hint import Command

_VERSION = b"\x01"
_NONCE_BYTES = 12  # RFC 8439 section 2.8
_TAG_BYTES = 16
_NONCE_AT = len(_VERSION) + ID_BYTES
_CONTENT_AT = _NONCE_AT + _NONCE_BYTES


def key_id_of(blob: bytes) -> bytes:
    """Return the public id of the key that opens this blob.

    A transaction that stores a blob sealed earlier compares this with the workspace's key id: after a
    rekey in between, no key would open the row.
    """
    return blob[len(_VERSION) : _NONCE_AT]


@dataclass(eq=False)
class RingBox:
    """The `SecretBox` of ports, ChaCha20-Poly1305 (RFC 8439) with the keys of a ring.

    `load` is called at the first use, and again when a blob names a key that the ring lacks, so that a
    running process follows a rekey. Safe to share between threads.
    """

    load: Callable[[], KeyRing]
    _ring: KeyRing | None = field(default=None, init=False)
    _loading: Lock = field(default_factory=Lock, init=False, repr=False)

    def seal(self, name: str, generation: int, plain: bytes) -> bytes:
        """Encrypt with the newest key: version byte, key id, nonce, ciphertext with its tag."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        key = (self._ring or self._load_instead_of(None)).newest
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = ChaCha20Poly1305(key.secret).encrypt(nonce, plain, _bound_to(name, generation))
        return _VERSION + key.id + nonce + sealed

    def open(self, name: str, generation: int, sealed: bytes) -> bytes:
        """Decrypt a blob. Raises KeyTrouble: `key.wrong`, `secret.damaged`, or what `load` raises."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        if sealed[:1] != _VERSION or len(sealed) < _CONTENT_AT + _TAG_BYTES:
            raise _damaged(name)
        key = self._key_for(key_id_of(sealed))
        try:
            return ChaCha20Poly1305(key.secret).decrypt(
                sealed[_NONCE_AT:_CONTENT_AT], sealed[_CONTENT_AT:], _bound_to(name, generation)
            )
        except InvalidTag:
            raise _damaged(name) from None

    def _key_for(self, key_id: bytes) -> Key:
        ring = self._ring
        key = (ring and ring.find(key_id)) or self._load_instead_of(ring).find(key_id)
        if key is None:
            raise KeyTrouble(
                "key.wrong",
                f"the key found here is not this workspace's; the right one has the id {key_id.hex()}",
                "export MAILROTATE_KEY_FILE=/path/to/the/right/key",
            )
        return key

    def _load_instead_of(self, known: KeyRing | None) -> KeyRing:
        with self._loading:
            # Another thread may have loaded it while this one waited.
            if self._ring is None or self._ring is known:
                self._ring = self.load()
            return self._ring


def _bound_to(name: str, generation: int) -> bytes:
    encoded = name.encode()
    return struct.pack(">I", len(encoded)) + encoded + struct.pack(">Q", generation)


def _damaged(name: str) -> KeyTrouble:
    return KeyTrouble(
        "secret.damaged",
        f"the secret of {name} cannot be opened: it was changed, or copied from another record",
        Command("mailbox", "reconnect", "ADDRESS"),
    )
