"""Looks for a secret in places where it must not be, in every form in which it could have got there."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus


def traces(secret: str) -> Iterator[bytes]:
    """The secret's forms: plain, reversed, UTF-16, hexadecimal, URL-encoded, and within base64."""
    plain = secret.encode()
    yield plain
    yield plain[::-1]
    yield secret.encode("utf-16-le")
    yield secret.encode("utf-16-be")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    for before in range(3):
        # Wherever it stands among other bytes, the groups that are its alone look the same.
        encoded = base64.b64encode(b"\0" * before + plain)
        yield encoded[4 if before else 0 : -4]


def found_in(secret: str, text: bytes) -> list[bytes]:
    return [trace for trace in traces(secret) if trace in text]


def files_with(secret: str, folder: Path) -> list[str]:
    """The files below a folder in which the secret stands in any form."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [str(path) for path in files if found_in(secret, path.read_bytes())]


def said_with(secret: str, said: Iterable[str]) -> list[str]:
    return [text for text in said if found_in(secret, text.encode())]
