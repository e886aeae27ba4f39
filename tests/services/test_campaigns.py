"""A campaign's life, decided by its services, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.campaigns import campaign_life, campaign_views, drafting, previewing
from mailrotate.core.services.context import Context
from mailrotate.core.store import campaign_edits, moves, workspaces
from mailrotate.core.store import campaigns as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import recipients
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.letter import Attachment
from mailrotate.core.values.states import CampaignState, MessageState, RecipientState, Rotation
from tests.support.contexts import context_of
from tests.support.plans import TWO_STEPS, plan_of
from tests.support.rows import NOW, Sender, Workspace


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    anna = workspace.add_mailbox("anna@example.org")
    with workspace.store.writing() as connection:
        workspaces.set_default_mailbox(connection, workspace.admin.id, anna.id)
    return anna


@pytest.fixture
def ben(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("ben@example.org")


def enrol(workspace: Workspace, count: int, name: str = "autumn") -> list[int]:
    with workspace.store.reading() as connection:
        campaign = stored.find(connection, name)
    assert campaign is not None
    return [
        workspace.add_recipient(campaign, f"person{n}@example.com", fields={"company": f"C{n}"})
        for n in range(count)
    ]


def disconnect(workspace: Workspace, sender: Sender, state: str = "disconnected") -> None:
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.connection).where(t.connection.c.id == sender.connection_id).values(state=state)
        )


def test_d1_creation_keeps_texts_and_attachments_as_version_1(context: Context, anna: Sender) -> None:
    plan = plan_of()
    first = replace(plan.steps[0], attachments=(Attachment("one.pdf", "application/pdf", b"%PDF"),))
    made = drafting.create(context, replace(plan, steps=(first, plan.steps[1])), NOW)
    with context.store.reading() as connection:
        steps = stored.steps_of(connection, made.id, 1)
        kept = stored.attachments_of(connection, steps[0].version_id)
    assert [step.delay for step in steps] == [timedelta(), timedelta(days=3)]
    assert steps[0].subject == "A question about {{ company }}"
    assert steps[1].subject is None
    assert kept == [("one.pdf", "application/pdf", b"%PDF")]
    assert (made.version, made.state) == (1, CampaignState.DRAFT)


def test_d2_without_a_named_sender_it_takes_the_default_mailbox_and_keeps_it(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    with workspace.store.writing() as connection:
        workspaces.set_default_mailbox(connection, workspace.admin.id, ben.id)
    view = campaign_views.show(context, "autumn", NOW)
    assert [sender.address for sender in view.senders] == ["anna@example.org"]
    assert view.rotation is None


def test_d2_creation_without_any_sender_is_refused_and_stores_nothing(
    workspace: Workspace, context: Context
) -> None:
    with pytest.raises(Refused) as refused:
        drafting.create(context, plan_of(), NOW)
    assert refused.value.code == "campaign.no_sender"
    assert campaign_views.listing(context, NOW) == []


def test_b5_a_disconnected_default_mailbox_makes_no_campaign(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    disconnect(workspace, anna)
    with pytest.raises(Refused) as refused:
        drafting.create(context, plan_of(), NOW)
    assert refused.value.code == "mailbox.disconnected"


def test_d2_two_senders_imply_the_equal_rotation(context: Context, anna: Sender, ben: Sender) -> None:
    made = drafting.create(context, replace(plan_of(), from_addresses=(ben.address, anna.address)), NOW)
    assert made.rotation is Rotation.EQUAL
    assert made.senders == ("ben@example.org", "anna@example.org")


def test_d9_a_step_with_its_own_sender_refuses_a_rotation(
    context: Context, anna: Sender, ben: Sender
) -> None:
    plan = plan_of(TWO_STEPS + 'from = "ben@example.org"\n')
    drafting.create(context, plan, NOW)
    with pytest.raises(Refused) as refused:
        campaign_life.start(context, "autumn", ["anna@example.org", "ben@example.org"], None, NOW)
    assert refused.value.code == "campaign.step_sender"


def test_a_name_is_taken_once_and_a_mistyped_one_is_guessed(context: Context, anna: Sender) -> None:
    made = drafting.create(context, plan_of(), NOW)
    with pytest.raises(Refused, match="campaign 'autumn' already exists"):
        drafting.create(context, plan_of(), NOW)
    with pytest.raises(NotFound, match="did you mean autumn"):
        campaign_views.show(context, "autum", NOW)
    assert campaign_views.show(context, f"c_{made.id}", NOW).name == "autumn"


@pytest.mark.parametrize("name", ["c_17", "winter", "au"])
def test_a_name_or_id_that_is_not_near_to_any_brings_no_guess(
    context: Context, workspace: Workspace, anna: Sender, name: str
) -> None:
    for known in ("c_1", "c_71", "autumn"):
        workspace.add_campaign(known, [anna])
    with pytest.raises(NotFound) as unknown:
        campaign_views.show(context, name, NOW)
    assert unknown.value.message == f"there is no campaign '{name}'"


@pytest.mark.parametrize("mailbox", ["b_17", "zoe@example.org"])
def test_a_mailbox_that_is_not_near_to_any_brings_no_guess(
    context: Context, anna: Sender, ben: Sender, mailbox: str
) -> None:
    with context.store.reading() as connection, pytest.raises(NotFound) as unknown:
        find_mailbox(connection, mailbox)
    assert unknown.value.message == f"there is no mailbox {mailbox}"


def test_e1_ten_over_two_is_five_and_five(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    enrol(workspace, 10)
    started = campaign_life.start(context, "autumn", [anna.address, ben.address], None, NOW)
    assert started.assigned == {"anna@example.org": 5, "ben@example.org": 5}
    with workspace.store.reading() as connection:
        due = connection.execute(select(t.recipient.c.next_at).distinct()).scalars().all()
    assert due == [NOW]


def test_e1_a_failed_sender_gets_nobody_at_the_start(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    drafting.create(context, replace(plan_of(), from_addresses=(anna.address, ben.address)), NOW)
    enrol(workspace, 3)
    disconnect(workspace, anna, "failed")
    assert campaign_life.start(context, "autumn", (), None, NOW).assigned == {
        "anna@example.org": 0,
        "ben@example.org": 3,
    }


def test_e3_the_rotation_is_free_in_a_draft_and_fixed_after_the_start(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    enrol(workspace, 2)
    both = [anna.address, ben.address]
    assert campaign_life.start(context, "autumn", both, None, NOW).rotation is Rotation.EQUAL
    for state in ("active", "paused"):
        if state == "paused":
            campaign_life.pause(context, "autumn", NOW)
        with pytest.raises(Refused) as refused:
            campaign_life.start(context, "autumn", [anna.address], None, NOW)
        assert refused.value.code == "campaign.not_draft"
        with pytest.raises(Refused, match="'rotate' is fixed since the start"):
            drafting.edit(context, "autumn", replace(plan_of(), from_addresses=(anna.address,)), NOW)
    assert campaign_views.show(context, "autumn", NOW).rotation == "equal"


def test_a_start_without_people_or_without_a_connected_sender_is_refused(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    with pytest.raises(Refused, match="has no recipients"):
        campaign_life.start(context, "autumn", (), None, NOW)
    enrol(workspace, 1)
    disconnect(workspace, anna, "failed")
    with pytest.raises(Refused, match="no sender of campaign 'autumn' is connected"):
        campaign_life.start(context, "autumn", (), None, NOW)
    assert campaign_views.show(context, "autumn", NOW).state is CampaignState.DRAFT


def test_c6_resume_waits_for_a_connected_sender_and_lifts_every_reason(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    enrol(workspace, 1)
    campaign_life.start(context, "autumn", (), None, NOW)
    campaign_life.pause(context, "autumn", NOW)
    with workspace.store.writing() as connection:
        campaign = stored.find(connection, "autumn")
        assert campaign is not None
        stored.add_pause(connection, campaign.id, "content_errors", 0, NOW)
    disconnect(workspace, anna, "failed")
    with pytest.raises(Refused) as refused:
        campaign_life.resume(context, "autumn", NOW)
    assert refused.value.hint == Command("mailbox", "reconnect", "anna@example.org", "--resume")
    assert set(campaign_life.resume_many(context, None, NOW).refused) == {"autumn"}
    disconnect(workspace, anna, "connected")
    assert campaign_life.resume_many(context, anna.address, NOW).names == ("autumn",)
    view = campaign_views.show(context, "autumn", NOW)
    assert (view.state, view.pause_reasons) == (CampaignState.ACTIVE, ())
    campaign_life.pause(context, "autumn", NOW)
    assert campaign_views.show(context, "autumn", NOW).pause_reasons == ("by_hand",), "no old reason is back"


def test_d3_stop_ends_open_people_and_cancels_what_waits_for_them(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    first, second, third = enrol(workspace, 3)
    campaign_life.start(context, "autumn", (), None, NOW)
    with workspace.store.writing() as connection:
        campaign = stored.find(connection, "autumn")
        assert campaign is not None
        moves.move(connection, RECIPIENT["replied"], third, reason="reply")
    waiting = workspace.add_message(anna, campaign, first)
    held = workspace.add_message(anna, campaign, second, state="held")
    stopped = campaign_life.stop(context, "autumn", NOW)
    assert (stopped.ended, stopped.cancelled) == (2, 1)
    with workspace.store.reading() as connection:
        people = [recipients.by_id(connection, number) for number in (first, second, third)]
        states = dict(connection.execute(select(t.message.c.id, t.message.c.state)).all())  # type: ignore[arg-type]
    assert [person and (person.state, person.reason) for person in people] == [
        (RecipientState.FINISHED, "campaign_stopped"),
        (RecipientState.FINISHED, "campaign_stopped"),
        (RecipientState.REPLIED, "reply"),
    ]
    assert states == {waiting: MessageState.CANCELLED, held: MessageState.HELD}
    with pytest.raises(Refused, match="cannot be stopped"):
        campaign_life.stop(context, "autumn", NOW)


def test_d1_an_edit_is_a_new_version_whose_steps_keep_their_ids(context: Context, anna: Sender) -> None:
    made = drafting.create(context, plan_of(), NOW)
    edited = drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("reminder", "nudge")), NOW)
    with context.store.reading() as connection:
        before = stored.steps_of(connection, made.id, 1)
        after = stored.steps_of(connection, made.id, 2)
    assert edited.version == 2
    assert [step.id for step in before] == [step.id for step in after]
    assert (before[1].body, after[1].body) == ("Only a reminder.", "Only a nudge.")


def test_d1_of_a_started_campaign_only_steps_that_nobody_has_got_change(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    (person,) = enrol(workspace, 1)
    campaign_life.start(context, "autumn", (), None, NOW)
    with workspace.store.reading() as connection:
        campaign = stored.find(connection, "autumn")
    workspace.add_message(anna, campaign, person, state="sent", sent_at=NOW, claimed_at=NOW)
    with pytest.raises(Refused, match="step 1 has already been sent"):
        drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("how is", "how goes")), NOW)
    with pytest.raises(Refused, match="step 2 is gone"):
        drafting.edit(context, "autumn", plan_of(TWO_STEPS.split("\n[[steps]]\ndelay")[0]), NOW)
    with pytest.raises(Refused, match="'window' is fixed"):
        drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("mon-sun", "mon-fri")), NOW)
    assert drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("reminder", "nudge")), NOW).version == 2


def test_d1_a_new_delay_moves_those_who_wait_for_the_step(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    planned, unplanned = enrol(workspace, 2)
    campaign_life.start(context, "autumn", (), None, NOW)
    due = NOW + timedelta(days=3)
    with workspace.store.writing() as connection:
        campaign = stored.find(connection, "autumn")
        assert campaign is not None
        moves.move(connection, RECIPIENT["sent"], unplanned, next_step=2, next_at=due)
        moves.move(connection, RECIPIENT["sent"], planned, next_step=2, next_at=None)
    message = workspace.add_message(anna, campaign, planned, step=2, ready_at=due)
    drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("3d", "5d")), NOW)
    with workspace.store.reading() as connection:
        row = connection.execute(select(t.message).where(t.message.c.id == message)).one()
        person = recipients.by_id(connection, unplanned)
    later = NOW + timedelta(days=5)
    assert (row.due_at, row.ready_at) == (later, later)
    assert person is not None
    assert person.next_at == later


def test_d1_an_edit_that_needs_a_field_people_lack_is_refused(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    (person,) = enrol(workspace, 1)
    with pytest.raises(Refused, match=rf"r_{person} of campaign 'autumn' has no city") as refused:
        drafting.edit(context, "autumn", plan_of(TWO_STEPS.replace("reminder", "{{ city }}")), NOW)
    assert refused.value.code == "campaign.fields_missing"
    drafting.edit(
        context, "autumn", plan_of(TWO_STEPS.replace("reminder", "{{ city | default('it') }}")), NOW
    )


def test_a_copy_has_the_words_and_senders_and_nobody_in_it(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    drafting.create(context, replace(plan_of(), from_addresses=(anna.address, ben.address)), NOW)
    enrol(workspace, 2)
    copied = drafting.copy(context, "autumn", None, NOW)
    assert (copied.name, copied.senders, copied.rotation) == (
        "autumn-2",
        (anna.address, ben.address),
        Rotation.EQUAL,
    )
    view = campaign_views.show(context, "autumn-2", NOW)
    assert sum(view.recipients.values()) == 0
    assert [step.subject for step in view.steps] == ["A question about {{ company }}", None]


def test_only_a_draft_is_deleted_and_its_people_stay_known(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    made = drafting.create(context, plan_of(), NOW)
    enrol(workspace, 2)
    drafting.copy(context, "autumn", "other", NOW)
    enrol(workspace, 1, "other")
    campaign_life.start(context, "other", (), None, NOW)
    with pytest.raises(Refused, match="only a draft can be deleted"):
        drafting.delete(context, "other", NOW)
    drafting.delete(context, "autumn", NOW)
    with workspace.store.reading() as connection:
        assert len(connection.execute(select(t.contact.c.id)).all()) == 2
        assert not list(campaign_edits.open_people(connection, made.id))
    assert [view.name for view in campaign_views.listing(context, NOW)] == ["other"]


def test_d7_a_preview_fills_a_draft_for_one_person_and_imagines_the_thread(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    enrol(workspace, 2)
    shown = previewing.preview(context, "autumn", "person1@example.com", 1, NOW)
    assert shown.subject == "A question about C1"
    assert "Hello there, how is C1?" in shown.text
    assert "<p>Hello there, how is C1?</p>" in shown.html
    follow_up = previewing.preview(context, "autumn", None, 2, NOW)
    assert (follow_up.subject, follow_up.to_address) == ("Re: A question about C0", "person0@example.com")
    with pytest.raises(BadInput, match="steps 1 to 2, not 3"):
        previewing.preview(context, "autumn", None, 3, NOW)


def test_d7_without_recipients_a_preview_shows_the_names_of_fields(context: Context, anna: Sender) -> None:
    drafting.create(context, plan_of(), NOW)
    shown = previewing.preview(context, "autumn", None, 1, NOW)
    assert (shown.subject, shown.invented) == ("A question about [company]", ("company",))


def test_i3_a_field_adds_no_header_no_markup_and_no_link(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    drafting.create(context, plan_of(), NOW)
    with workspace.store.reading() as connection:
        campaign = stored.find(connection, "autumn")
    assert campaign is not None
    evil = "X\r\nBcc: all@example.net\n**bold** <b>b</b> [a](https://evil.example) {{ 7*7 }}"
    workspace.add_recipient(campaign, "evil@example.com", fields={"company": evil})
    shown = previewing.preview(context, "autumn", None, 1, NOW)
    assert "\n" not in shown.subject
    assert "\r" not in shown.subject
    assert "<b>" not in shown.html
    assert "<strong>" not in shown.html
    assert 'href="https://evil.example' not in shown.html
    assert "{{ 7*7 }}" in shown.html


def test_the_next_send_is_what_the_gates_permit_first(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    closed = TWO_STEPS.replace('hours = "00:00-24:00"', 'hours = "12:00-13:00"').replace(
        'name = "autumn"', 'name = "autumn"\ntimezone = "UTC"'
    )
    drafting.create(context, plan_of(closed), NOW)
    enrol(workspace, 1)
    assert campaign_views.show(context, "autumn", NOW).next_send_at is None
    campaign_life.start(context, "autumn", (), None, NOW)
    noon = NOW.replace(hour=12, minute=0, second=0, microsecond=0)
    assert campaign_views.show(context, "autumn", NOW).next_send_at == noon
