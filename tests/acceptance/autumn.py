"""The campaign that these tests send, and the Monday on which it begins."""

from datetime import UTC, datetime

from tests.support.program import Program

# The clock of a mailbox's day and of the window is UTC; the window opens now.
MONDAY = datetime(2031, 3, 3, 9, tzinfo=UTC)

CAMPAIGN = """
name = "autumn"
timezone = "UTC"
window = { days = "mon-fri", hours = "09:00-17:00" }
[[steps]]
subject = "A question for {{ company }}"
text = "Dear {{ first_name }}, may I ask you something?"
[[steps]]
delay = "3d"
text = "{{ first_name }}, did you see it?"
"""
# The same without a window.
ALWAYS = CAMPAIGN.replace("mon-fri", "mon-sun").replace("09:00-17:00", "00:00-24:00")


def people_file(people: list[str]) -> str:
    rows = [f"{person},Kim {number},Company {number}" for number, person in enumerate(people)]
    return "\n".join(["email,first_name,company", *rows])


def start_campaign(
    program: Program, people: list[str], *senders: str, text: str = CAMPAIGN, name: str = "autumn"
) -> None:
    (program.home / f"{name}.toml").write_text(text)
    from_senders = [part for sender in senders for part in ("--from", sender)]
    program.run("campaign", "create", f"{name}.toml", *from_senders)
    program.run("recipient", "import", name, "-", input=people_file(people))
    program.run("campaign", "start", name)
