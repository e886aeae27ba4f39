"""F4: refusals in a row that say more about the mailbox than about the people."""

import pytest

from mailrotate.core.rules.refusal_row import suspicion


@pytest.mark.parametrize(
    "refused",
    [
        [],
        ["kim@example.com"],
        ["kim@example.com", "lee@example.net"],
        # An old list of one company is a matter of that list.
        ["kim@example.com", "lee@example.com", "mia@example.com", "noa@example.com"],
        ["kim@example.com", "lee@example.net", "mia@example.com", "noa@example.net"],
    ],
)
def test_f4_unknown_recipients_at_fewer_than_three_domains_say_nothing_about_the_mailbox(
    refused: list[str],
) -> None:
    assert suspicion(refused) is None


def test_f4_three_unknown_recipients_in_a_row_at_three_domains_put_the_mailbox_under_suspicion() -> None:
    said = suspicion(["kim@example.com", "lee@example.net", "mia@example.org"])
    assert said == (
        "3 recipients in a row were refused as unknown, at example.com, example.net and example.org: "
        "the server may be refusing this mailbox"
    )


def test_f4_more_people_at_one_of_the_domains_do_not_clear_the_mailbox() -> None:
    said = suspicion(["kim@example.com", "lee@example.com", "mia@example.net", "noa@example.org"])
    assert said is not None
    assert said.startswith("4 recipients in a row were refused as unknown, at example.com, example.net and")
