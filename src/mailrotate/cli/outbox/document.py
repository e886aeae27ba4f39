"""A message for scripts."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailrotate.core.services.views.outbox_actions import Expected


def row_of(expected: "Expected") -> dict[str, Any]:
    message = expected.message
    error = {
        "class": message.error_class,
        "code": message.error_code,
        "enhanced": message.error_enhanced,
        "message": message.error_text,
        "hint": expected.hint,
    }
    return {
        "id": f"m_{message.id}",
        "state": message.state,
        "kind": message.kind,
        "campaign": message.campaign,
        "step": message.step,
        "to": message.to_address,
        "from": message.from_address,
        "subject": message.subject,
        "message_id": message.message_id,
        "due_at": message.due_at,
        "expected_at": expected.expected_at,
        "ahead": expected.ahead,
        "sent_at": message.sent_at,
        "attempts": message.attempts,
        "error": None if message.error_class is None else error,
    }
