"""The tables that queries use. `make tables` writes this file from the declarations in `rows/`."""

from sqlalchemy import MetaData, Table

from mailrotate.core.store.column_types import (
    big_number,
    blob,
    flag,
    instant,
    long_text,
    number,
    text,
)

METADATA = MetaData()

# fmt: off
__all__ = [
    "METADATA", "absence", "alias", "assignment", "attachment", "campaign", "campaign_pause",
    "campaign_sender", "campaign_version", "connection", "contact", "contact_tag", "deadline", "event",
    "folder", "lane", "lifted_suppression", "mailbox", "mailbox_request", "mailbox_share", "message",
    "notice", "plan", "recipient", "runner", "seat_address", "send_mark", "sent_copy", "setting",
    "signature", "slot", "step", "step_version", "stopped", "suppression", "timeline", "unread_mail", "user",
    "webhook", "webhook_delivery", "workspace",
]

absence = Table(
    "absence", METADATA,
    big_number("id", primary_key=True), instant("from_at"), instant("until_at"),
)

alias = Table(
    "alias", METADATA,
    big_number("id", primary_key=True), big_number("connection_id", "connection.id"), text("address"),
    text("sender_name"),
)

assignment = Table(
    "assignment", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"), text("words"),
    instant("made_at"),
)

attachment = Table(
    "attachment", METADATA,
    big_number("id", primary_key=True), big_number("step_version_id", "step_version.id"), number("position"),
    text("filename"), text("content_type"), blob("data"),
)

campaign = Table(
    "campaign", METADATA,
    big_number("id", primary_key=True), text("name"), big_number("owner_id", "user.id"),
    flag("team", default=False), text("state"), text("rotation"), number("version", default=1),
    instant("created_at"), instant("started_at"), instant("resumed_at"), instant("finished_at"),
)

campaign_pause = Table(
    "campaign_pause", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"), text("reason"),
    number("mailbox_id", default=0), instant("paused_at"),
)

campaign_sender = Table(
    "campaign_sender", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"),
    big_number("slot_id", "slot.id"), big_number("mailbox_id", "mailbox.id"), number("position"),
    number("generation", default=1), instant("joined_at"), instant("left_at"), text("left_reason"),
    number("assigned_count", default=0), number("weight"), number("counted_weight"), instant("turn_at"),
    instant("parked_before"),
)

campaign_version = Table(
    "campaign_version", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"), number("n"),
    text("window"), text("timezone"), text("holidays", default="null"),
    text("on_auto_reply", default="wait"), instant("created_at"), big_number("created_by", "user.id"),
)

connection = Table(
    "connection", METADATA,
    big_number("id", primary_key=True), big_number("mailbox_id", "mailbox.id"),
    big_number("slot_id", "slot.id"), number("generation", default=1), text("state"), text("provider"),
    text("smtp_host"), number("smtp_port"), text("smtp_security"), text("imap_host"), number("imap_port"),
    text("imap_security"), text("username"), blob("secret"), text("sender_name"), text("mailbox_name"),
    text("timezone"), number("daily_limit"), number("gap_seconds"), text("sent_copy", default="auto"),
    text("sends_as"), flag("is_shared"), text("folders"), text("contact_book"), number("ramp_start"),
    number("ramp_step"), number("ramp_ceiling"), instant("ramp_from"), instant("connected_at"),
    instant("failed_at"), instant("disconnected_at"), instant("superseded_at"), instant("trouble_since"),
    instant("last_test_at"), text("last_error_class"), text("last_error"),
)

contact = Table(
    "contact", METADATA,
    big_number("id", primary_key=True), text("address"), text("canonical"), text("domain"),
    text("fields", default="{}"), big_number("owner_id", "user.id"), instant("created_at"),
    instant("erased_at"),
)

contact_tag = Table(
    "contact_tag", METADATA,
    big_number("contact_id", "contact.id", primary_key=True), text("tag", primary_key=True),
)

deadline = Table(
    "deadline", METADATA,
    big_number("id", primary_key=True), big_number("mailbox_id", "mailbox.id"),
    big_number("campaign_id", "campaign.id"), text("kind"), instant("started_at"), instant("ends_at"),
    instant("ended_at"), text("ended_by"), number("stopped_count"), number("reassigned_count"),
)

event = Table(
    "event", METADATA,
    big_number("id", primary_key=True), instant("at"), text("action"), big_number("actor_id", "user.id"),
    text("os_user"), big_number("mailbox_id"), big_number("campaign_id"), big_number("recipient_id"),
    big_number("message_id"), long_text("data"),
)

folder = Table(
    "folder", METADATA,
    big_number("mailbox_id", "mailbox.id", primary_key=True), text("name", primary_key=True),
    big_number("uid_validity"), big_number("last_uid"), instant("read_at"), instant("failing_since"),
    instant("next_try_at"), text("last_error"),
)

lane = Table(
    "lane", METADATA,
    big_number("mailbox_id", "mailbox.id", primary_key=True), big_number("runner_id", "runner.id"),
    number("token", default=0), instant("next_send_at"), instant("acted_at"), instant("asked_at"),
    instant("broke_at"), text("broke_by"),
)

lifted_suppression = Table(
    "lifted_suppression", METADATA,
    text("hash", primary_key=True), instant("lifted_at"),
)

mailbox = Table(
    "mailbox", METADATA,
    big_number("id", primary_key=True), text("address"), big_number("user_id", "user.id"),
    instant("created_at"), instant("removed_at"), instant("paused_at"), instant("hold_until"),
    text("hold_class"), text("hold_reason"), instant("released_at"), instant("day_from"),
    instant("day_until"), flag("files_sent_copy"), flag("keeps_message_id"),
)

mailbox_request = Table(
    "mailbox_request", METADATA,
    big_number("id", primary_key=True), text("address"), text("canonical"), big_number("user_id", "user.id"),
    big_number("requested_by", "user.id"), text("state"), long_text("checks"), instant("requested_at"),
    big_number("decided_by", "user.id"), instant("decided_at"), text("reason"), instant("ended_at"),
)

mailbox_share = Table(
    "mailbox_share", METADATA,
    big_number("connection_id", "connection.id", primary_key=True),
    big_number("user_id", "user.id", primary_key=True),
)

message = Table(
    "message", METADATA,
    big_number("id", primary_key=True), text("kind"), text("state"), text("priority"),
    big_number("mailbox_id", "mailbox.id"), big_number("slot_id", "slot.id"),
    big_number("campaign_id", "campaign.id"), big_number("campaign_sender_id", "campaign_sender.id"),
    big_number("recipient_id", "recipient.id"), big_number("step_id", "step.id"), number("step_position"),
    text("to_address"), text("from_address"), text("token"), text("unsubscribe_token"), text("message_id"),
    text("fields"), text("subject"), text("in_reply_to"), text("cited_ids", default=""), instant("due_at"),
    instant("ready_at"), instant("overdue_at"), instant("planned_at"), instant("released_at"),
    big_number("runner_id", "runner.id"), text("claim_token"), instant("claimed_at"), instant("marked_at"),
    instant("sent_at"), instant("settled_at"), text("content_hash"), number("attempts", default=0),
    instant("first_failed_at"), text("error_class"), text("error_phase"), number("error_code"),
    text("error_enhanced"), text("error_text"), text("error_hint"),
)

notice = Table(
    "notice", METADATA,
    big_number("id", primary_key=True), big_number("mailbox_id", "mailbox.id"), instant("failed_at"),
    text("nth"), text("addressee", default=""), big_number("message_id", "message.id"), instant("given_at"),
)

plan = Table(
    "plan", METADATA,
    big_number("id", primary_key=True), number("slots_per_user"), number("daily_cap"),
    flag("shared_mailboxes"), flag("role_addresses"), flag("approval_required"), number("sync_every_seconds"),
)

recipient = Table(
    "recipient", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"),
    big_number("contact_id", "contact.id"), text("state"), text("reason"), text("address_hash"),
    big_number("campaign_sender_id", "campaign_sender.id"), text("assigned_reason"),
    big_number("assignment_id"), long_text("fields"), text("timezone"), number("next_step", default=1),
    instant("next_at"), big_number("added_by", "user.id"), big_number("added_for"), instant("enrolled_at"),
    instant("ended_at"),
)

runner = Table(
    "runner", METADATA,
    big_number("id", primary_key=True), text("kind"), text("host"), number("pid"), instant("started_at"),
    instant("ended_at"), text("only"), instant("ends_at"),
)

seat_address = Table(
    "seat_address", METADATA,
    text("canonical", primary_key=True), text("address"), big_number("mailbox_id", "mailbox.id"),
)

send_mark = Table(
    "send_mark", METADATA,
    big_number("id", primary_key=True), number("number"), text("home"), text("pass_id"),
    instant("compare_since"),
)

sent_copy = Table(
    "sent_copy", METADATA,
    big_number("message_id", "message.id", primary_key=True), big_number("mailbox_id", "mailbox.id"),
    blob("raw"), number("attempts", default=0), instant("next_try_at"), text("last_error"),
)

setting = Table(
    "setting", METADATA,
    text("key", primary_key=True), text("value"),
)

signature = Table(
    "signature", METADATA,
    big_number("id", primary_key=True), big_number("connection_id", "connection.id"), text("name"),
    text("body"), flag("is_main", default=False),
)

slot = Table(
    "slot", METADATA,
    big_number("id", primary_key=True), big_number("user_id", "user.id"), text("kind"),
    instant("created_at"), instant("removed_at"),
)

step = Table(
    "step", METADATA,
    big_number("id", primary_key=True), big_number("campaign_id", "campaign.id"), number("position"),
)

step_version = Table(
    "step_version", METADATA,
    big_number("id", primary_key=True), big_number("step_id", "step.id"), number("version"),
    big_number("delay_seconds"), text("subject"), long_text("body"),
    big_number("sender_mailbox_id", "mailbox.id"),
)

stopped = Table(
    "stopped", METADATA,
    big_number("campaign_id", "campaign.id", primary_key=True), text("address_hash", primary_key=True),
    instant("stopped_at"),
)

suppression = Table(
    "suppression", METADATA,
    big_number("id", primary_key=True), text("kind"), text("value"), text("canonical"), text("hash"),
    text("reason"), text("source"), big_number("added_by", "user.id"), instant("added_at"),
)

timeline = Table(
    "timeline", METADATA,
    big_number("id", primary_key=True), big_number("contact_id", "contact.id"),
    big_number("mailbox_id", "mailbox.id"), instant("at"), text("direction"), text("header_id"),
    text("subject"),
)

unread_mail = Table(
    "unread_mail", METADATA,
    big_number("mailbox_id", "mailbox.id", primary_key=True), text("folder", primary_key=True),
    big_number("uid_validity", primary_key=True), big_number("uid", primary_key=True), text("reason"),
    number("tries"), instant("first_at"), instant("last_at"), instant("given_up_at"),
)

user = Table(
    "user", METADATA,
    big_number("id", primary_key=True), text("email"), text("name"), text("role"), text("state"),
    number("default_mailbox_id"), instant("created_at"), instant("removed_at"),
)

webhook = Table(
    "webhook", METADATA,
    big_number("id", primary_key=True), text("url"), long_text("events"), instant("created_at"),
    number("generation", default=1), blob("secret"), blob("former_secret"), instant("former_until"),
    big_number("runner_id", "runner.id"), instant("failing_since"), number("failure_count", default=0),
    instant("rests_until"), text("last_error"), instant("delivered_at"), instant("off_at"),
)

webhook_delivery = Table(
    "webhook_delivery", METADATA,
    big_number("id", primary_key=True), big_number("webhook_id", "webhook.id"), big_number("event_id"),
    text("subject"), text("key"), long_text("body"), instant("queued_at"), number("attempts", default=0),
    instant("first_failed_at"), instant("next_try_at"), instant("delivered_at"), instant("given_up_at"),
    text("last_error"),
)

workspace = Table(
    "workspace", METADATA,
    big_number("id", primary_key=True), text("identity"), text("name"), text("timezone"),
    number("default_user_id"), blob("key_check"), instant("last_pass_at"), instant("last_sending_pass_at"),
    text("boot_id"), instant("booted_at"), instant("created_at"),
)
