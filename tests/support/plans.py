"""Campaigns as their files would have them, for tests of services."""

from mailrotate.core.rules.campaign_file import CampaignPlan, read_plan

TWO_STEPS = """
name = "autumn"
window = { days = "mon-sun", hours = "00:00-24:00" }

[[steps]]
subject = "A question about {{ company }}"
text = "Hello {{ first_name | default('there') }}, how is {{ company }}?"

[[steps]]
delay = "3d"
text = "Only a reminder."
"""


def plan_of(text: str = TWO_STEPS) -> CampaignPlan:
    """The plan of a TOML text that names no other file."""
    return read_plan(text, "campaign.toml", {})
