"""Encoded words (RFC 2047) in clear. They are a stranger's: the standard library raises on some of them."""

import binascii
import codecs
import re

# An encoded word has at most 75 characters; some programs write longer ones. Bounded, so that nothing in a
# long header makes the search slow.
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bq])\?([^?\r\n]{0,500})\?=", re.IGNORECASE)
_BETWEEN = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,64}\?[bq]\?)", re.IGNORECASE)
_HEX = re.compile(rb"=([0-9a-f]{2})", re.IGNORECASE)
# Python's codecs that are not character sets of mail; some of them raise, or warn, on certain input.
_NO_CHARSETS = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))


def in_clear(text: str) -> str:
    """Return the text with its encoded words decoded; a word that cannot be decoded stays as it is."""
    return _WORD.sub(_decoded, _BETWEEN.sub(r"\1", text)) if "=?" in text else text


def _decoded(word: re.Match[str]) -> str:
    charset, encoding, content = word.groups()
    try:
        # RFC 2231 5: a language may follow the charset.
        codec = codecs.lookup(charset.partition("*")[0])
        if codec.name.replace("_", "-") in _NO_CHARSETS:
            return word[0]
        raw = content.encode("utf-8", "replace")
        return _bytes_of(encoding, raw).decode(codec.name, "replace")
    except (LookupError, ValueError):
        # An unknown charset, base64 that is none, a codec of bytes.
        return word[0]


def _bytes_of(encoding: str, raw: bytes) -> bytes:
    if encoding in "bB":
        return binascii.a2b_base64(raw.rstrip(b"= ") + b"===")
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), raw.replace(b"_", b" "))
