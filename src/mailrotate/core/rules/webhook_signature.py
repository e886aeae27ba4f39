"""Sign what is posted to an endpoint, as Standard Webhooks 1.0 says (standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

# The specification allows 24 to 64 bytes.
SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"


def secret_text(secret: bytes) -> str:
    """Write a secret as receivers' libraries read it: `whsec_` and base64."""
    return _SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_headers(secrets: Sequence[bytes], key: str, body: bytes, now: datetime) -> Mapping[str, str]:
    """Build the three headers; each secret signs, so that a receiver may know either of two.

    The timestamp is that of the attempt, because receivers refuse old ones as replays.
    """
    timestamp = str(int(now.timestamp()))
    content = f"{key}.{timestamp}.".encode() + body
    return {
        "webhook-id": key,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
