"""Who may do what: campaigns, people, messages, mailboxes, the workspace (A6, A10, B6, C6)."""

import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from pkgutil import walk_packages

import pytest
from sqlalchemy import insert, update

from mailrotate.adapters.csv_rows import open_rows
from mailrotate.adapters.key_change import KeyChange
from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.core import services
from mailrotate.core.services.access import accounts, secrets
from mailrotate.core.services.campaigns import (
    campaign_life,
    campaign_views,
    drafting,
    enrolment,
    previewing,
    reassigning,
    recipient_list,
    rotation_senders,
)
from mailrotate.core.services.campaigns.enrolment import HowToImport, Imported
from mailrotate.core.services.campaigns.reassigning import Whom
from mailrotate.core.services.campaigns.recipient_list import Wanted
from mailrotate.core.services.contacts import contact_book, contact_records, suppressing
from mailrotate.core.services.contacts.contact_book import LinkChange
from mailrotate.core.services.contacts.contact_records import ContactChange
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.services.mailboxes import (
    alias_choice,
    connecting,
    grace_extension,
    login_tests,
    mailbox_removal,
    mailbox_requests,
    mailbox_settings,
    mailbox_views,
    plan_changes,
    reconnecting,
    refusal_undoing,
    sharing,
    signature_editing,
    slot_pool,
    slot_removal,
)
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.running import adopting, clock_acceptance
from mailrotate.core.services.sending import webhook_endpoints
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.team import user_admin, user_removal
from mailrotate.core.services.views import (
    explaining,
    limit_settings,
    logbook,
    outbox_actions,
    outbox_senders,
    overview,
    workspace_settings,
)
from mailrotate.core.services.views.outbox_actions import Outcome, Which
from mailrotate.core.store import tables as t
from mailrotate.core.store import workspaces
from mailrotate.core.store.webhooks import Again
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import AnyHint, Ask, Command, Hint
from mailrotate.core.values.mail import Endpoint, ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Role, Rotation, Security
from tests.support.contexts import KeyInMemory, context_of
from tests.support.plans import TWO_STEPS, plan_of
from tests.support.rows import NOW, Sender, Workspace

BEN, DAN, CLEO, ADA = "ben@example.org", "dan@example.org", "cleo@example.org", "admin@example.org"
BOX, SPARE, OTHER_BOX = "ben@example.com", "spare@example.com", "dan@example.com"
PLAN = plan_of(f'from = ["{BOX}"]\n{TWO_STEPS.replace("autumn", "new")}')
ENDPOINT = Endpoint("mail.example.org", 465, Security.TLS)
NEW = NewConnection(
    "new@example.com", ServerGuess("imap", ENDPOINT, ENDPOINT, "flags"), Password(Secret("secret")), {}, BEN
)
NEVER_WAITS = Pace(clock=lambda: NOW, wait=lambda _seconds: True, stopping=lambda: False)

Verb = Callable[[Context], object]


@dataclass(frozen=True)
class Team:
    """Ben, a member, has two mailboxes, the draft `plain`, the running `autumn` with m_1 and m_2, and the
    team's draft `ours`; Dan, another member, has a mailbox too."""

    workspace: Workspace
    by_email: Mapping[str, StoredUser]
    boxes: Mapping[str, Sender]

    def acting(self, email: str) -> Context:
        return context_of(self.workspace, self.by_email[email])

    def share(self, address: str, email: str) -> None:
        box = self.boxes[address]
        with self.workspace.store.writing() as connection:
            connection.execute(
                update(t.connection).where(t.connection.c.id == box.connection_id).values(is_shared=True)
            )
            values = {"connection_id": box.connection_id, "user_id": self.by_email[email].id}
            connection.execute(insert(t.mailbox_share).values(values))


@pytest.fixture
def team(workspace: Workspace) -> Team:
    ben, dan = workspace.add_user(BEN), workspace.add_user(DAN)
    cleo = workspace.add_user(CLEO, Role.MANAGER)
    boxes = {
        BOX: workspace.add_mailbox(BOX, ben),
        SPARE: workspace.add_mailbox(SPARE, ben),
        OTHER_BOX: workspace.add_mailbox(OTHER_BOX, dan),
    }
    with workspace.store.writing() as connection:
        workspaces.set_default_mailbox(connection, ben.id, boxes[BOX].id)
        workspaces.set_default_mailbox(connection, dan.id, boxes[OTHER_BOX].id)
    autumn = workspace.add_campaign("autumn", [boxes[BOX]], rotates=False, owner=ben)
    workspace.add_campaign("plain", [boxes[BOX]], rotates=False, state="draft", owner=ben)
    workspace.add_campaign("ours", [boxes[BOX]], rotates=False, state="draft", owner=ben, team=True)
    for n in (1, 2):
        person = workspace.add_recipient(autumn, f"p{n}@example.com", sender_id=1)
        workspace.add_message(boxes[BOX], autumn, person, to=f"p{n}@example.com", state="error")
    everybody = {user.email: user for user in (ben, dan, cleo, workspace.admin)}
    return Team(workspace, everybody, boxes)


def code_of(verb: Verb, context: Context) -> str | None:
    """How a verb is refused; None when it is done."""
    try:
        verb(context)
    except (Refused, NotFound, BadInput) as refused:
        return refused.code
    return None


def import_file(context: Context, name: str) -> int:
    file = io.BytesIO(b"email,company,name\nnew@example.com,Kim & Co,Kim\n")
    with ProblemSpool() as aside, open_rows(file) as rows:
        importing = enrolment.importing_file(
            context, name, rows, HowToImport(), aside, progress=lambda _count: None, now=NOW
        )
        with importing as imported:
            return imported.imported


def import_people(context: Context, name: str, other: str) -> Imported:
    with (
        ProblemSpool() as aside,
        enrolment.importing_people(context, name, other, HowToImport(), aside, NOW) as imported,
    ):
        return imported


def add_person(context: Context, name: str, email: str = "one@example.com") -> str:
    with ProblemSpool() as aside:
        return enrolment.add(
            context, name, email, {"company": "Kim & Co", "name": "Kim"}, aside=aside, now=NOW
        )


def list_people(context: Context, name: str) -> list[object]:
    with recipient_list.listing(context, name, Wanted()) as found:
        return list(found)


def logged(context: Context) -> list[str]:
    with logbook.listing(context, logbook.Wanted(), after=None, limit=100) as lines:
        return [str(line.mailbox or line.actor) for line in lines]


def list_suppressed(context: Context) -> list[object]:
    with suppressing.listing(context, None, None) as found:
        return [suppressed.value for suppressed in found]


def list_contacts(context: Context) -> list[object]:
    with contact_records.listing(context, contact_records.Wanted()) as found:
        return list(found)


def people_of_removal(context: Context) -> list[object]:
    with mailbox_removal.people(context, BOX) as found:
        return list(found)


def take_on(context: Context) -> object:
    with ProblemSpool() as aside:
        return reassigning.assign(context, "autumn", Whom((), None, BOX), SPARE, aside=aside, now=NOW)


def key_place(key: KeyInMemory) -> KeyChange:
    return KeyChange(key)  # type: ignore[arg-type]  # it loads and stores, which is all that is asked


def edit_of(name: str) -> Verb:
    return lambda c: drafting.edit(c, name, replace(PLAN, from_addresses=()), NOW)


VERBS: dict[str, Verb] = {
    "campaign_views.listing": lambda c: campaign_views.listing(c, NOW),
    "campaign_views.show": lambda c: campaign_views.show(c, "plain", NOW),
    "campaign_life.start": lambda c: campaign_life.start(c, "plain", (), None, NOW),
    "campaign_life.pause": lambda c: campaign_life.pause(c, "autumn", NOW),
    "campaign_life.resume": lambda c: campaign_life.resume(c, "autumn", NOW),
    "campaign_life.resume_many": lambda c: campaign_life.resume_many(c, None, NOW),
    "webhook_endpoints.add": lambda c: webhook_endpoints.add(c, "https://example.org/", ["all"], NOW),
    "webhook_endpoints.listing": lambda c: webhook_endpoints.listing(c),
    "webhook_endpoints.test": lambda c: webhook_endpoints.test(c, 1, NOW),
    "webhook_endpoints.rotate": lambda c: webhook_endpoints.rotate(c, 1, NOW),
    "webhook_endpoints.resend": lambda c: webhook_endpoints.resend(c, Again(1), NOW),
    "webhook_endpoints.remove": lambda c: webhook_endpoints.remove(c, 1, NOW),
    "rotation_senders.listing": lambda c: rotation_senders.listing(c, "autumn", NOW),
    "rotation_senders.add": lambda c: rotation_senders.add(c, "autumn", BOX, NOW),
    "rotation_senders.removable": lambda c: rotation_senders.removable(c, "autumn", BOX, NOW),
    "rotation_senders.remove": lambda c: rotation_senders.remove(c, "autumn", BOX, NOW),
    "grace_extension.listing": lambda c: grace_extension.listing(c, NOW),
    "grace_extension.extend": lambda c: grace_extension.extend(c, BOX, timedelta(hours=1), None, NOW),
    "outbox_senders.send_from": lambda c: outbox_senders.send_from(c, [1], BOX, NOW),
    "campaign_life.stoppable": lambda c: campaign_life.stoppable(c, "autumn"),
    "campaign_life.stop": lambda c: campaign_life.stop(c, "autumn", NOW),
    "alias_choice.listing": lambda c: alias_choice.listing(c, BOX),
    "alias_choice.add": lambda c: alias_choice.add(c, BOX, "b@example.com", None, NOW),
    "alias_choice.remove": lambda c: alias_choice.remove(c, BOX, "b@example.com", NOW),
    "alias_choice.use": lambda c: alias_choice.use(c, BOX, None, NOW),
    "connecting.refuse_connect": lambda c: connecting.refuse_connect(c, NEW.address, BEN, None, {}),
    "connecting.former_servers": lambda c: connecting.former_servers(c, BOX),
    "connecting.connect": lambda c: connecting.connect(c, NEW, NOW),
    "connecting.returns": lambda c: connecting.returns(c, BOX, BEN, NOW),
    "contact_book.show": lambda c: contact_book.show(c, BOX),
    "contact_book.change": lambda c: contact_book.change(c, BOX, LinkChange(is_on=True), NOW),
    "contact_records.listing": lambda c: list_contacts(c),
    "contact_records.show": lambda c: contact_records.show(c, "p1@example.com", 1),
    "contact_records.tag": lambda c: contact_records.tag(c, "vip", ["p1@example.com"], remove=False, now=NOW),
    "contact_records.change": lambda c: contact_records.change(
        c, "p1@example.com", ContactChange(owner=BEN), 1, NOW
    ),
    "reconnecting.refuse_reconnect": lambda c: reconnecting.refuse_reconnect(c, BOX, None),
    "reconnecting.reconnect": lambda c: reconnecting.reconnect(
        c, BOX, reconnecting.LoginChange(), lambda _step: None, resume=False, now=NOW
    ),
    "reconnecting.consequences": lambda c: reconnecting.consequences(c, BOX),
    "reconnecting.disconnect": lambda c: reconnecting.disconnect(c, BOX, NOW),
    "drafting.create": lambda c: drafting.create(c, PLAN, NOW),
    "drafting.edit": edit_of("plain"),
    "drafting.copy": lambda c: drafting.copy(c, "plain", None, NOW),
    "drafting.deletable": lambda c: drafting.deletable(c, "plain"),
    "drafting.delete": lambda c: drafting.delete(c, "plain", NOW),
    "enrolment.demands_of": lambda c: enrolment.demands_of(c, "ours"),
    "enrolment.importing_file": lambda c: import_file(c, "ours"),
    "enrolment.importing_people": lambda c: import_people(c, "ours", "autumn"),
    "enrolment.add": lambda c: add_person(c, "ours"),
    "explaining.explain": lambda c: explaining.explain(c, "plain", None, NOW),
    "limit_settings.change": lambda c: limit_settings.change(c, ["imap.day=7"], ("imap",), NOW),
    "logbook.listing": lambda c: logged(c),
    "login_tests.test": lambda c: login_tests.test(c, BOX, NOW),
    "login_tests.testable": lambda c: login_tests.testable(c),
    "mailbox_views.listing": lambda c: mailbox_views.listing(c, NOW),
    "mailbox_views.is_among_others": lambda c: mailbox_views.is_among_others(c),
    "mailbox_views.show": lambda c: mailbox_views.show(c, BOX, NOW),
    "mailbox_settings.check": lambda c: mailbox_settings.check(c, BOX, {}),
    "mailbox_settings.change": lambda c: mailbox_settings.change(c, BOX, {"daily_limit": "7"}, NOW),
    "mailbox_settings.losing": lambda c: mailbox_settings.losing(c, BOX),
    "mailbox_views.make_default": lambda c: mailbox_views.make_default(c, BOX, NOW),
    "mailbox_views.pause": lambda c: mailbox_views.pause(c, BOX, NOW),
    "mailbox_views.resume": lambda c: mailbox_views.resume(c, BOX, NOW),
    "mailbox_views.release": lambda c: mailbox_views.release(c, BOX, NOW),
    "refusal_undoing.release": lambda c: refusal_undoing.release(c, BOX, NOW),
    "outbox_actions.listing": lambda c: list(outbox_actions.listing(c, Which(), NOW)),
    "outbox_actions.show": lambda c: outbox_actions.show(c, 1, NOW),
    "outbox_actions.retry": lambda c: outbox_actions.retry(c, Which(ids=(1,)), NOW),
    "outbox_actions.cancel": lambda c: outbox_actions.cancel(c, (1,), NOW),
    "outbox_actions.cancellable": lambda c: outbox_actions.cancellable(c, (1,)),
    "outbox_actions.release": lambda c: outbox_actions.release(c, (1,), NOW),
    "outbox_actions.release_campaign": lambda c: outbox_actions.release_campaign(c, "autumn", NOW),
    "outbox_actions.resolve": lambda c: outbox_actions.resolve(c, (1,), True, NOW),
    "recipient_list.listing": lambda c: list_people(c, "plain"),
    "recipient_list.show": lambda c: recipient_list.show(c, "autumn", "p1@example.com"),
    "recipient_list.remove": lambda c: recipient_list.remove(c, "autumn", "p1@example.com", NOW),
    "plan_changes.change": lambda c: plan_changes.change(c, PlanChange(daily_cap=7), NOW),
    "previewing.preview": lambda c: previewing.preview(c, "plain", None, 1, NOW),
    "previewing.send_test": lambda c: previewing.send_test(
        c, "plain", BEN, None, 1, NEVER_WAITS, system_clock()
    ),
    "secrets.rekey": lambda c: secrets.rekey(c, key_place(KeyInMemory()), NOW),
    "workspace_settings.change": lambda c: workspace_settings.change(c, ["lateness=3d"], NOW),
    "mailbox_removal.consequences": lambda c: mailbox_removal.consequences(c, BOX, None),
    "mailbox_removal.people": lambda c: people_of_removal(c),
    "mailbox_removal.remove": lambda c: mailbox_removal.remove(c, BOX, now=NOW),
    "mailbox_requests.request": lambda c: mailbox_requests.request(c, "asked@example.com", BEN, NOW),
    "mailbox_requests.listing": lambda c: mailbox_requests.listing(c),
    "mailbox_requests.approve": lambda c: mailbox_requests.approve(c, "q_1", None, NOW),
    "mailbox_requests.deny": lambda c: mailbox_requests.deny(c, "q_1", None, NOW),
    "mailbox_requests.withdraw": lambda c: mailbox_requests.withdraw(c, "q_1", NOW),
    "sharing.listing": lambda c: sharing.listing(c, BOX),
    "sharing.campaigns_sent_by": lambda c: sharing.campaigns_sent_by(c, BOX, CLEO),
    "sharing.add": lambda c: sharing.add(c, BOX, CLEO, NOW),
    "sharing.remove": lambda c: sharing.remove(c, BOX, CLEO, NOW),
    "signature_editing.listing": lambda c: signature_editing.listing(c, BOX),
    "signature_editing.show": lambda c: signature_editing.show(c, BOX, "work"),
    "signature_editing.add": lambda c: signature_editing.add(c, BOX, "work", "Ben", NOW),
    "signature_editing.edit": lambda c: signature_editing.edit(c, BOX, "work", "Ben", NOW),
    "signature_editing.choose_main": lambda c: signature_editing.choose_main(c, BOX, None, NOW),
    "signature_editing.remove": lambda c: signature_editing.remove(c, BOX, "work", NOW),
    "signature_editing.restore": lambda c: signature_editing.restore(c, BOX, "work", NOW),
    "slot_removal.removable": lambda c: slot_removal.removable(c, NOW),
    "slot_removal.consequences": lambda c: slot_removal.consequences(c, 1, NOW),
    "slot_removal.remove": lambda c: slot_removal.remove(c, 1, NOW),
    "slot_pool.listing": lambda c: slot_pool.listing(c, NOW),
    "slot_pool.buy": lambda c: slot_pool.buy(c, 1, NOW),
    "slot_pool.add": lambda c: slot_pool.add(c, BEN, 1, NOW),
    "slot_pool.assign": lambda c: slot_pool.assign(c, BEN, 1, NOW),
    "slot_pool.unassign": lambda c: slot_pool.unassign(c, 1, NOW),
    "grace_periods.awaited_returns": lambda c: grace_periods.awaited_returns(c, NEW.address, BEN, None, NOW),
    "suppressing.add": lambda c: suppressing.add(c, "kim@example.com", "asked", NOW),
    "suppressing.open_count": lambda c: suppressing.open_count(c, "kim@example.com"),
    "suppressing.add_many": lambda c: suppressing.add_many(
        c, ["kim@example.com"], "asked", lambda _line, _problem: None, lambda _count: None, NOW
    ),
    "suppressing.listing": lambda c: list_suppressed(c),
    "suppressing.remove": lambda c: suppressing.remove(c, "gone@example.com", NOW),
    "user_admin.listing": lambda c: user_admin.listing(c),
    "user_admin.show": lambda c: user_admin.show(c, BEN),
    "user_admin.add": lambda c: user_admin.add(c, "eve@example.org", None, Role.MEMBER, NOW),
    "user_admin.change": lambda c: user_admin.change(c, BEN, "Benno", None, NOW),
    "user_admin.lock_consequences": lambda c: user_admin.lock_consequences(c, DAN),
    "user_admin.lock": lambda c: user_admin.lock(c, DAN, NOW),
    "user_admin.unlock": lambda c: user_admin.unlock(c, DAN, NOW),
    "user_removal.consequences": lambda c: user_removal.consequences(c, CLEO),
    "user_removal.remove": lambda c: user_removal.remove(c, CLEO, NOW),
    "reassigning.assign": lambda c: take_on(c),
    "clock_acceptance.accept": lambda c: clock_acceptance.accept(c, NOW),
    "adopting.look": lambda c: adopting.look(c, NOW),
    "adopting.adopt": lambda c: adopting.adopt(c, False, NOW),
}

# What nobody in particular does: the runner's work, and what the verbs above are made of.
PARTS = {
    "accounts", "affected_campaigns", "claiming", "clock_guard", "comparing",
    "contact_book.note_received", "context", "dealing", "door", "facts", "folder_choice.ends_of",
    "going_on", "health", "inbox_reading", "lane_facts", "lane_holding", "logins", "mark_guard", "marking",
    "notice_planning", "obstacles", "outbox_actions.each", "passes", "planning",
    "reconnecting.login_after", "reconnecting.renew", "recording", "recovery", "secrets.seal",
    "secrets.seal_as", "settling", "survey", "webhook_posting",
}  # fmt: skip
# What everybody is shown, whoever they are: the state of the whole workspace.
SHOWN = {
    "clock_acceptance.look", "limit_settings.show", "overview", "plan_changes.show", "runners",
    "workspace_settings.show",
}  # fmt: skip


def service_verbs() -> Iterator[str]:
    """Every public function of a service that is called with a context."""
    for module in walk_packages(services.__path__, f"{services.__name__}."):
        for name, found in vars(import_module(module.name)).items():
            if inspect.isfunction(found) and not name.startswith("_"):
                of_module = found.__module__ == module.name
                if of_module and next(iter(inspect.signature(found).parameters), "") == "context":
                    yield f"{module.name.rpartition('.')[2]}.{name}"


def test_a10_no_verb_was_forgotten_here() -> None:
    """A new verb asks who acts, and stands in this table, or says above why nobody is asked."""
    asked = {verb for verb in service_verbs() if not {verb, verb.partition(".")[0]} & (PARTS | SHOWN)}
    assert asked == set(VERBS)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.ADMIN])
def test_a10_a_locked_user_acts_on_nothing(team: Team, role: Role) -> None:
    context = team.acting(BEN)
    with team.workspace.store.writing() as connection:
        is_ben = t.user.c.id == team.by_email[BEN].id
        connection.execute(update(t.user).where(is_ben).values(state="locked", role=role))
    assert {name: code_of(verb, context) for name, verb in VERBS.items()} == dict.fromkeys(
        VERBS, "user.locked"
    )


OWNED: dict[str, Verb] = {
    "edit": edit_of("plain"),
    "deletable": VERBS["drafting.deletable"],
    "remove": VERBS["recipient_list.remove"],
    "add": lambda c: add_person(c, "plain"),
    "import": lambda c: import_file(c, "autumn"),
    "start": VERBS["campaign_life.start"],
    "pause": VERBS["campaign_life.pause"],
    "resume": VERBS["campaign_life.resume"],
    "release campaign": VERBS["outbox_actions.release_campaign"],
    "cancellable": VERBS["outbox_actions.cancellable"],
    "retry": VERBS["outbox_actions.retry"],
    "release": VERBS["outbox_actions.release"],
    "resolve": VERBS["outbox_actions.resolve"],
    "cancel": lambda c: outbox_actions.cancel(c, (2,), NOW),
    "stoppable": VERBS["campaign_life.stoppable"],
    "stop": VERBS["campaign_life.stop"],
    "delete": lambda c: drafting.delete(c, "ours", NOW),
}


@pytest.mark.parametrize("email", [BEN, CLEO, ADA])
def test_c6_a_campaign_is_for_its_owner_managers_and_admins(team: Team, email: str) -> None:
    context = team.acting(email)
    assert {name: code_of(verb, context) for name, verb in OWNED.items()} == dict.fromkeys(OWNED)


def test_c6_another_member_runs_no_campaign_and_decides_on_none_of_its_messages(team: Team) -> None:
    context = team.acting(DAN)
    assert {name: code_of(verb, context) for name, verb in OWNED.items()} == dict.fromkeys(
        OWNED, "user.not_allowed"
    )
    nothing = Outcome()
    for which in (Which(), Which(mailbox=BOX), Which(campaign="autumn")):
        assert outbox_actions.retry(context, which, NOW) == nothing
    assert campaign_life.resume_many(context, None, NOW).names == ()


def test_c6_whose_mailbox_it_is_decides_on_its_messages_in_campaigns_of_others(team: Team) -> None:
    of_admin = team.workspace.add_campaign("hers", [team.boxes[OTHER_BOX]])
    message = team.workspace.add_message(team.boxes[OTHER_BOX], of_admin, state="error")
    assert outbox_actions.retry(team.acting(DAN), Which(), NOW).done == [message]
    assert code_of(lambda c: campaign_life.pause(c, "hers", NOW), team.acting(DAN)) == "user.not_allowed"


def test_c6_of_many_campaigns_each_resumes_their_own(team: Team) -> None:
    with team.workspace.store.writing() as connection:
        connection.execute(update(t.campaign).where(t.campaign.c.name == "autumn").values(state="paused"))
    assert campaign_life.resume_many(team.acting(DAN), None, NOW).refused == {}
    assert campaign_life.resume_many(team.acting(BEN), None, NOW).names == ("autumn",)


def test_e2_every_active_user_adds_people_to_a_teams_campaign_and_to_no_other(team: Team) -> None:
    context = team.acting(DAN)
    assert add_person(context, "ours") == "one@example.com"
    assert import_file(context, "ours") == 1
    assert code_of(lambda c: add_person(c, "plain"), context) == "user.not_allowed"
    # Whoever may see people may take them over, and nobody else.
    assert code_of(lambda c: import_people(c, "ours", "autumn"), context) == "user.not_allowed"
    assert (
        code_of(lambda c: recipient_list.remove(c, "ours", "one@example.com", NOW), context)
        == "user.not_allowed"
    )


@pytest.mark.parametrize("email", [BEN, CLEO, ADA])
def test_a6_settings_limits_key_and_backups_are_for_admins(team: Team, email: str) -> None:
    key = KeyInMemory()
    context = context_of(team.workspace, team.by_email[email], key)
    accounts.note_key(context)
    wanted = None if email == ADA else "user.not_allowed"
    verbs = {name: VERBS[name] for name in ("workspace_settings.change", "limit_settings.change")}
    verbs["rekey"] = lambda c: secrets.rekey(c, key_place(key), NOW)
    verbs["restore"] = lambda c: accounts.require_restorer(c.store, c.actor)
    assert {name: code_of(verb, context) for name, verb in verbs.items()} == dict.fromkeys(verbs, wanted)


@pytest.mark.parametrize("email", [BEN, CLEO, ADA])
def test_a6_d6_everybody_sees_all_suppressions_and_adds_and_managers_take_them_away(
    team: Team, email: str
) -> None:
    context = team.acting(email)
    suppressing.add(team.acting(DAN), "lee@example.com", "asked", NOW)
    assert suppressing.add(context, "kim@example.com", "asked", NOW).is_new
    # Also whom another member's campaign has lost: nobody is to write to them.
    assert list_suppressed(context) == ["lee@example.com", "kim@example.com"]
    removed = code_of(lambda c: suppressing.remove(c, "kim@example.com", NOW), context)
    assert removed == ("user.not_allowed" if email == BEN else None)


def test_a6_members_see_their_own_and_the_teams_and_managers_everything(team: Team) -> None:
    of_admin = team.workspace.add_campaign("hers", [team.boxes[OTHER_BOX]])
    other = team.workspace.add_message(team.boxes[OTHER_BOX], of_admin)

    def seen(email: str) -> tuple[list[str], list[str], list[int]]:
        context = team.acting(email)
        return (
            [box.address for box in mailbox_views.listing(context, NOW)],
            [view.name for view in campaign_views.listing(context, NOW)],
            [row.message.id for row in outbox_actions.listing(context, Which(), NOW)],
        )

    everything = ([BOX, SPARE, OTHER_BOX], ["autumn", "plain", "ours", "hers"], [1, 2, other])
    assert seen(BEN) == ([BOX, SPARE], ["autumn", "plain", "ours"], [1, 2])
    assert seen(DAN) == ([OTHER_BOX], ["ours", "hers"], [other])
    assert seen(CLEO) == seen(ADA) == everything
    team.share(BOX, DAN)
    assert seen(DAN) == ([BOX, OTHER_BOX], ["ours", "hers"], [1, 2, other])


def test_a6_d9_a_campaign_is_seen_by_whose_mailbox_one_of_its_steps_names(team: Team) -> None:
    team.share(OTHER_BOX, BEN)
    with_step_from(OTHER_BOX)(team.acting(BEN))
    assert "step" in [view.name for view in campaign_views.listing(team.acting(DAN), NOW)]


def test_c6_the_refusal_names_the_campaign_and_whose_it_is(team: Team) -> None:
    with pytest.raises(Refused, match=rf"{DAN} \(member\) cannot act on campaign 'autumn' of {BEN}"):
        campaign_life.pause(team.acting(DAN), "autumn", NOW)


def test_a6_members_read_the_log_and_the_overview_of_their_own(team: Team) -> None:
    for address in (BOX, OTHER_BOX):
        mailbox_views.pause(team.acting(ADA), address, NOW)
    mailbox_views.resume(team.acting(DAN), OTHER_BOX, NOW)
    assert logged(team.acting(DAN)) == [OTHER_BOX, OTHER_BOX]
    assert logged(team.acting(BEN)) == [BOX]
    assert logged(team.acting(CLEO)) == [BOX, OTHER_BOX, OTHER_BOX]
    seen = overview.look(team.acting(DAN), NOW)
    assert [line.address for line in seen.mailboxes] == [OTHER_BOX]
    assert [line.name for line in seen.campaigns] == ["ours"]
    assert len(overview.look(team.acting(ADA), NOW).mailboxes) == 3
    errors = {email: overview.look(team.acting(email), NOW).errors for email in (DAN, BEN, CLEO)}
    assert errors == {DAN: 0, BEN: 2, CLEO: 2}


def test_a6_what_is_in_no_list_is_not_shown_either(team: Team) -> None:
    shown: dict[str, Verb] = {
        "mailbox": VERBS["mailbox_views.show"],
        "campaign": VERBS["campaign_views.show"],
        "people": VERBS["recipient_list.listing"],
        "person": VERBS["recipient_list.show"],
        "message": VERBS["outbox_actions.show"],
        "preview": VERBS["previewing.preview"],
        "copy": lambda c: drafting.copy(c, "plain", None, NOW),
        "why message": lambda c: explaining.explain(c, "m_1", None, NOW),
        "why recipient": lambda c: explaining.explain(c, "r_1", None, NOW),
        "why person": lambda c: explaining.explain(c, "autumn", "p1@example.com", NOW),
        "why mailbox": lambda c: explaining.explain(c, BOX, None, NOW),
        "why campaign": lambda c: explaining.explain(c, "autumn", None, NOW),
    }
    for email, wanted in ((DAN, "user.not_allowed"), (BEN, None), (CLEO, None)):
        if email == CLEO:
            del shown["copy"]  # she has no mailbox that it could send from
        found = {name: code_of(verb, team.acting(email)) for name, verb in shown.items()}
        assert found == dict.fromkeys(shown, wanted)


def with_step_from(address: str) -> Verb:
    steps = (replace(PLAN.steps[0], sender=address), *PLAN.steps[1:])
    return lambda c: drafting.create(c, replace(PLAN, name="step", from_addresses=(), steps=steps), NOW)


PICKED: dict[str, Verb] = {
    "create": VERBS["drafting.create"],
    "step": with_step_from(BOX),
    "start": lambda c: campaign_life.start(c, "hers", [BOX], None, NOW),
    "edit": lambda c: drafting.edit(c, "hers", replace(PLAN, from_addresses=(BOX, OTHER_BOX)), NOW),
    "test": VERBS["previewing.send_test"],
}


@pytest.mark.parametrize("email", [CLEO, ADA])
def test_b6_nobody_but_its_user_picks_a_personal_mailbox_as_sender(team: Team, email: str) -> None:
    hers = team.workspace.add_campaign("hers", [team.boxes[OTHER_BOX]], state="draft")
    team.workspace.add_recipient(hers, "kim@example.com", fields={"company": "Kim & Co"})
    context = team.acting(email)
    found = {name: code_of(verb, context) for name, verb in PICKED.items()}
    assert found == dict.fromkeys(PICKED, "mailbox.personal")

    def hint() -> AnyHint | None:
        with pytest.raises(Refused) as refused:
            drafting.create(context, PLAN, NOW)
        return refused.value.hint

    # Nobody is told to share what the plan lets nobody share.
    assert hint() == Hint("choose a mailbox of your own:", Command("mailbox", "list"))
    plan_changes.change(team.acting(ADA), PlanChange(shared_mailboxes=True), NOW)
    may_share = ((BEN, "member"), (ADA, "admin"))
    share = Command("mailbox", "set", BOX, "--access", "shared")
    assert hint() == (share if email == ADA else Ask(may_share, share))
    mailbox_settings.change(team.acting(BEN), BOX, {"access": "shared"}, NOW)
    share = Command("mailbox", "share", "add", BOX, email)
    assert hint() == (share if email == ADA else Ask(may_share, share))


def test_b6_a_shared_mailbox_is_picked_by_those_it_is_shared_with(team: Team) -> None:
    team.share(BOX, CLEO)
    assert drafting.create(team.acting(CLEO), PLAN, NOW).senders == (BOX,)
    assert code_of(with_step_from(BOX), team.acting(ADA)) == "mailbox.not_shared"


def test_b6_who_runs_a_campaign_of_another_keeps_its_senders_and_adds_only_own_ones(team: Team) -> None:
    cleo = team.acting(CLEO)
    kept = replace(PLAN, from_addresses=(BOX,), rotate=Rotation.EQUAL)
    assert drafting.edit(cleo, "plain", kept, NOW).senders == (BOX,)
    wider = replace(PLAN, from_addresses=(BOX, SPARE))
    assert code_of(lambda c: drafting.edit(c, "plain", wider, NOW), cleo) == "mailbox.personal"
    assert drafting.edit(team.acting(BEN), "plain", wider, NOW).senders == (BOX, SPARE)


def test_b6_a_copy_has_the_senders_that_whoever_copies_may_write_from(team: Team) -> None:
    assert drafting.copy(team.acting(BEN), "ours", None, NOW).senders == (BOX,)
    assert drafting.copy(team.acting(DAN), "ours", None, NOW).senders == (OTHER_BOX,)


def test_b6_admins_set_a_personal_mailbox_all_the_same(team: Team) -> None:
    assert mailbox_views.pause(team.acting(ADA), BOX, NOW)
    assert mailbox_settings.change(team.acting(ADA), BOX, {"daily_limit": "7"}, NOW).changes[0].after == 7
    assert code_of(lambda c: mailbox_views.pause(c, SPARE, NOW), team.acting(CLEO)) == "user.not_allowed"


def test_b6_only_a_shared_mailbox_is_shared_by_its_user_or_an_admin(team: Team) -> None:
    ben = team.acting(BEN)
    assert code_of(lambda c: sharing.add(c, BOX, DAN, NOW), ben) == "mailbox.personal"
    team.share(BOX, CLEO)
    assert code_of(lambda c: sharing.add(c, BOX, DAN, NOW), team.acting(DAN)) == "user.not_allowed"
    assert code_of(lambda c: sharing.add(c, BOX, DAN, NOW), team.acting(CLEO)) == "user.not_allowed"
    assert code_of(lambda c: sharing.add(c, BOX, BEN, NOW), ben) == "share.own"
    assert sharing.add(ben, BOX, DAN, NOW)
    assert not sharing.add(team.acting(ADA), BOX, DAN, NOW)
    assert sharing.listing(ben, BOX) == [DAN, CLEO]
    made = drafting.create(team.acting(DAN), PLAN, NOW)
    assert sharing.campaigns_sent_by(ben, BOX, DAN) == [made.name]
    assert sharing.campaigns_sent_by(ben, BOX, CLEO) == []
    assert sharing.remove(ben, BOX, DAN, NOW)
    assert not sharing.remove(ben, BOX, DAN, NOW)


def test_a6_all_mailboxes_are_tested_by_whoever_may_act_on_them(team: Team) -> None:
    assert login_tests.testable(team.acting(DAN)) == [OTHER_BOX]
    assert login_tests.testable(team.acting(ADA)) == [BOX, SPARE, OTHER_BOX]
