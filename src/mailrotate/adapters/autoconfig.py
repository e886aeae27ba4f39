"""Fetch small documents over https."""

import http.client
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import urlsplit

from mailrotate.core.values.clock import monotonic_seconds

_SECONDS_TO_ANSWER = 5.0
_SECONDS_IN_ALL = 10.0
_LARGEST = 64 * 1024


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_autoconfig(url: str) -> bytes | None:
    """Fetch a document of up to 64 kB from an https address with a trusted certificate.

    None if there is none, if it is larger, or if it takes too long.
    """
    if urlsplit(url).scheme != "https":
        return None
    deadline = monotonic_seconds() + _SECONDS_IN_ALL
    received = bytearray()
    try:
        # urllib verifies with the machine's trusted authorities.
        with urllib.request.build_opener(_OnlyHttps).open(url, timeout=_SECONDS_TO_ANSWER) as response:
            while chunk := response.read1(_LARGEST):
                received += chunk
                if len(received) > _LARGEST or monotonic_seconds() > deadline:
                    return None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return bytes(received)
