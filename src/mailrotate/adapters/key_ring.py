"""The workspace keys as a value and as text: one key, and during a rekey also the older ones."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Self

from mailrotate.core.values.errors import KeyTrouble

KEY_BYTES = 32  # ChaCha20-Poly1305, RFC 8439 section 2.8
ID_BYTES = 4
_FIRST_LINE = "mailrotate-key 1"


@dataclass(frozen=True)
class Key:
    """One key. Its id is public: the start of a hash of 256 random bits reveals nothing about them."""

    secret: bytes = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.secret).digest()[:ID_BYTES]

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not pickled")


@dataclass(frozen=True)
class KeyRing:
    """The keys of one workspace, newest first; the newest seals, every one opens.

    A rekey survives being killed at any instruction when it goes in this order: store
    `ring.with_new_key()`; seal every row again in one transaction; after its commit, store
    `.only_newest()`. At each moment the stored ring opens every row.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if not self.keys or len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("a key ring needs at least one key, and each of them once")

    @classmethod
    def fresh(cls) -> Self:
        return cls((Key.random(),))

    @property
    def newest(self) -> Key:
        return self.keys[0]

    def find(self, key_id: bytes) -> Key | None:
        return next((key for key in self.keys if key.id == key_id), None)

    def with_new_key(self) -> "KeyRing":
        return KeyRing((Key.random(), *self.keys))

    def only_newest(self) -> "KeyRing":
        return KeyRing(self.keys[:1])

    def to_text(self) -> str:
        """Return the text that `parse` reads: the version, then a line of base64 per key, newest first."""
        return "\n".join((_FIRST_LINE, *(base64.b64encode(key.secret).decode() for key in self.keys))) + "\n"

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Read the text of `to_text`; skip empty lines and lines that start with `#`.

        Raises KeyTrouble (`key.damaged`) with `where` and the line number, but not the line itself.
        """
        lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
        lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
        if not lines:
            raise _damaged(where, 1, "it is empty")
        if lines[0][1] != _FIRST_LINE:
            raise _damaged(where, lines[0][0], f"it should read '{_FIRST_LINE}'")
        keys: list[Key] = []
        for number, line in lines[1:]:
            key = Key(_decode(line, where, number))
            if key.id in {earlier.id for earlier in keys}:
                raise _damaged(where, number, "this key stands there twice")
            keys.append(key)
        if not keys:
            raise _damaged(where, lines[0][0], "no key follows it")
        return cls(tuple(keys))


def _decode(line: str, where: str, number: int) -> bytes:
    try:
        secret = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        # `from None`: the cause would carry the line into a traceback.
        raise _damaged(where, number, "it is not base64") from None
    if len(secret) != KEY_BYTES:
        raise _damaged(where, number, f"it holds {len(secret)} bytes instead of {KEY_BYTES}")
    return secret


def _damaged(where: str, number: int, problem: str) -> KeyTrouble:
    return KeyTrouble(
        "key.damaged",
        f"the workspace's key is damaged: {where}, line {number}: {problem}",
        "restore a copy of the workspace's key; even one cut or wrapped line damages it",
    )
