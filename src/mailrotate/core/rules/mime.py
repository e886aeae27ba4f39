"""The bytes of a mail: headers (RFC 5322, 2047, 2231) and parts (RFC 2045, 2046).

Written out here, and not by the generator of `email`, because a letter's hash is kept: the same letter must
be the same bytes on every Python, whose folding differs from release to release. It is also what makes
rendering in the claim cheap. Whatever goes in, each header is one header and each line ends with CRLF.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from mailrotate.core.rules.text import one_line
from mailrotate.core.values.address import domain_of, normalise_address
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.letter import LONGEST_FILENAME, Attachment, UnfitLetter

_LINE = 76  # RFC 2047 2: no longer, where a line holds an encoded word
# 39 bytes make a word of 64 characters, which still fits on a line behind the name of a header.
_WORD_BYTES = 39
_ASCII = re.compile(r"[\x20-\x7e]*")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")  # atoms, RFC 5322 3.2.3
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,255}")
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]{1,248}>")
_MEDIA_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}")
_QUOTABLE = re.compile(r'["\\]')
_TOKEN = re.compile(r"[A-Za-z0-9._ ()+-]*")


def header(name: str, *words: str) -> str:
    """A header line of ASCII words, folded between them only (a long word stays whole)."""
    lines, room = [f"{name}:"], _LINE
    for word in words:
        if len(lines[-1]) + 1 + len(word) > room and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"


def text_header(name: str, text: str) -> str:
    """Encode a header with free text, like Subject."""
    plain = one_line(text)
    if _is_ascii(plain) and max(map(len, plain.split(" "))) < _LINE - len(name) - 2:
        return header(name, *plain.split(" "))
    return header(name, *_encoded_words(plain))


def mailbox_header(name: str, address: str, called: str | None = None) -> str:
    """Encode a header with one address and its display name. Raises UnfitLetter as `ascii_address`."""
    route = ascii_address(address)
    plain = one_line(called or "")
    if not plain:
        return header(name, route)
    if not _is_ascii(plain) or len(plain) > _LINE - len(name) - 4:
        return header(name, *_encoded_words(plain), f"<{route}>")
    if not _PHRASE.fullmatch(plain):
        plain = '"' + _QUOTABLE.sub(r"\\\g<0>", plain) + '"'
    return header(name, plain, f"<{route}>")


def ascii_address(address: str) -> str:
    """The address in ASCII, as every server accepts it. Raises UnfitLetter if it has no such form."""
    if _ADDRESS.fullmatch(address):
        return address
    try:
        normal = normalise_address(address)
    except BadInput as trouble:
        raise UnfitLetter(trouble.message) from None
    if _ADDRESS.fullmatch(normal):
        return normal
    raise UnfitLetter(f"'{one_line(address)}' is not an address that every server takes")


def is_message_id(text: str) -> bool:
    """Whether this is one Message-ID in its angle brackets, without a character that could end it early."""
    return _MESSAGE_ID.fullmatch(text) is not None


def message_id_for(token: str, address: str) -> str:
    """Our own Message-ID: unique by the token, in the sender's domain (RFC 5322 3.6.4)."""
    return f"<{token}@{domain_of(ascii_address(address))}>"


def text_part(subtype: str, text: str) -> bytes:
    """Build a text part in quoted-printable: no line is too long, and `=_` never occurs in it."""
    lines = text.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    body = binascii.b2a_qp(lines.rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n", istext=True)
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable'
    return head.encode() + b"\r\n\r\n" + body


@lru_cache(maxsize=4)
def attachment_part(attachment: Attachment) -> bytes:
    """Build an attachment in base64 (RFC 2045 6.8). Cached: all letters of a step share it."""
    media_type = attachment.content_type.lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    # RFC 7763 2 and RFC 5545 8.1: without a charset such text is ASCII to some readers.
    charset = '; charset="utf-8"' if media_type.startswith("text/") and _is_utf8(attachment.data) else ""
    head = (
        f"Content-Type: {media_type}{charset}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {_filename(attachment.filename)}\r\n\r\n"
    )
    return head.encode() + base64.encodebytes(attachment.data).replace(b"\n", b"\r\n")


def multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """Join parts between boundaries, with the Content-Type; `boundary` begins with `=_`."""
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    delimiter = f"--{boundary}".encode()
    # The CRLF before a delimiter belongs to it (RFC 2046 5.1.1).
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return head + body + delimiter + b"--\r\n"


def _filename(name: str) -> str:
    plain = one_line(name).replace("\\", "/").rpartition("/")[2].strip()[-LONGEST_FILENAME:] or "attachment"
    if _TOKEN.fullmatch(plain):
        return f'filename="{plain}"'
    return f"filename*=utf-8''{quote(plain, safe='')}"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_ascii(text: str) -> bool:
    # What looks like an encoded word would be read as one.
    return _ASCII.fullmatch(text) is not None and "=?" not in text


def _encoded_words(text: str) -> list[str]:
    """RFC 2047, in base64; no character is split between two words (section 5)."""
    pieces = [b""]
    for character in text:
        encoded = character.encode()
        if len(pieces[-1]) + len(encoded) > _WORD_BYTES:
            pieces.append(b"")
        pieces[-1] += encoded
    return [f"=?utf-8?b?{base64.b64encode(piece).decode()}?=" for piece in pieces]
