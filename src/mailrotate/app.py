"""Settings and the composition root: the only place that reads the environment and names concrete classes.

Every member is lazy, so that a command imports and opens only what it uses.
"""

import os
import pwd
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailrotate.core.values.clock import Clock, is_synchronised, present_boot, system_clock
from mailrotate.core.values.config_file import check_config
from mailrotate.core.values.database_name import is_postgresql, refuse_password, refuse_scheme
from mailrotate.core.values.errors import BadInput, KeyTrouble, NotFound, StoreTrouble
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Timeouts
from mailrotate.core.values.secret import Secret

if TYPE_CHECKING:
    from mailrotate.adapters.mark_file import MarkFile
    from mailrotate.adapters.workspace_key import WorkspaceKey
    from mailrotate.core.ports import KeyPlace, MailProvider, WebhookPoster
    from mailrotate.core.services.context import Context
    from mailrotate.core.store.engine import Store
    from mailrotate.core.store.events import Actor
    from mailrotate.core.store.names import Ask, Names
    from mailrotate.core.store.workspaces import StoredWorkspace
    from mailrotate.core.values.mail import ServerGuess

_NO_WORKSPACE_HINT = Command("mailbox", "connect", "ADDRESS")


@dataclass(frozen=True)
class Settings:
    """The settings of one call: from flags, then the environment, then the config file, then defaults."""

    db: str
    user: str | None
    key_file: Path | None
    credentials_directory: Path | None
    mark_folder: Path
    timeouts: Timeouts
    home_id: str | None = None
    db_password: Secret | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def load_settings(db: str | None = None, user: str | None = None) -> Settings:
    """Read flags, `MAILROTATE_…`, and the TOML file that `MAILROTATE_CONFIG` names.

    Raises BadInput: `config.unreadable`, `config.invalid`, `db.password`.
    """
    environment = dict(os.environ)
    found = _config_file(environment)
    named = environment.get("MAILROTATE_KEY_FILE") or found.get("key_file")
    key_file = Path(named).expanduser() if named else None
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    return Settings(
        db=_database(db, environment, found),
        user=user or environment.get("MAILROTATE_USER") or found.get("user"),
        key_file=key_file,
        credentials_directory=Path(credentials) if credentials else None,
        mark_folder=_mark_folder(environment, found, key_file),
        timeouts=_timeouts(environment, found.get("timeouts", {})),
        # Not from the config file, which may be copied together with the database.
        home_id=environment.get("MAILROTATE_HOME_ID") or None,
        db_password=_database_password(environment),
        environment=environment,
    )


def forbid_colours() -> None:
    """Turn colours off in this process and its children; Rich and Typer's help read the environment."""
    os.environ["NO_COLOR"] = "1"


def _config_file(environment: Mapping[str, str]) -> Mapping[str, Any]:
    named = environment.get("MAILROTATE_CONFIG")
    if named:
        path = Path(named).expanduser()
    else:
        from platformdirs import user_config_path

        path = user_config_path("mailrotate") / "config.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as trouble:
        if not named and isinstance(trouble, FileNotFoundError | NotADirectoryError):
            return {}
        raise BadInput("config.unreadable", f"cannot read {path}: {trouble.strerror}") from None
    except (ValueError, RecursionError) as trouble:
        # Not only tomllib's own: a number of 5,000 digits or a thousand brackets is Python's.
        raise BadInput("config.invalid", f"{path} is not TOML: {trouble}") from None
    check_config(path, content)
    return content


def _mark_folder(environment: Mapping[str, str], from_file: Mapping[str, Any], key_file: Path | None) -> Path:
    """Return the folder of the mark of sending (F3): the one that is set, or else that of the key file."""
    named = environment.get("MAILROTATE_MARK_FOLDER") or from_file.get("mark_folder")
    if named:
        return Path(named).expanduser()
    if key_file is not None:
        return key_file.parent
    if "STATE_DIRECTORY" in environment:
        # systemd's StateDirectory=; of several, which are separated by colons, the first.
        return Path(environment["STATE_DIRECTORY"].partition(":")[0])
    from platformdirs import user_state_path

    return user_state_path("mailrotate")


def _timeouts(environment: Mapping[str, str], from_file: Mapping[str, float]) -> Timeouts:
    values = dict(from_file)
    for each in fields(Timeouts):
        name = f"MAILROTATE_TIMEOUT_{each.name.upper()}"
        if name in environment:
            try:
                values[each.name] = float(environment[name])
            except ValueError:
                values[each.name] = 0
            if not 0 < values[each.name] < float("inf"):
                raise BadInput("config.invalid", f"{name} must be seconds, a number above 0")
    return Timeouts(**values)


def _database(flag: str | None, environment: Mapping[str, str], from_file: Mapping[str, Any]) -> str:
    if flag:
        refuse_password(flag)
    named = flag or environment.get("MAILROTATE_DB") or from_file.get("db")
    if not named:
        from platformdirs import user_data_path

        return str(user_data_path("mailrotate") / "mailrotate.db")
    refuse_scheme(named)
    return named if is_postgresql(named) else str(Path(named).expanduser().absolute())


def _database_password(environment: Mapping[str, str]) -> Secret | None:
    password = environment.get("MAILROTATE_DB_PASSWORD")
    return Secret(password) if password else None


def operating_system_user() -> str:
    """Return the operating-system user, who is recorded beside the acting user (A6)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a user id without a name
        return str(os.getuid())


class App:
    """The objects of one call. Each is opened on first use."""

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock

    @property
    def host(self) -> str:
        return socket.gethostname()

    @property
    def has_database(self) -> bool:
        """Whether the database exists; does not create a SQLite file. Raises StoreTrouble."""
        if is_postgresql(self.settings.db):
            return True
        try:
            return Path(self.settings.db).exists()
        except OSError as trouble:
            # A folder of another user, or a name that is too long.
            raise StoreTrouble(
                "store.cannot_open",
                f"{self.settings.db} cannot be opened: {trouble.strerror}",
                "check the path and your permissions",
            ) from None

    @cached_property
    def database(self) -> "Store":
        """The database at any revision. Creates a SQLite file if it is missing."""
        from mailrotate.core.store.engine import open_store

        password = self.settings.db_password
        return open_store(self.settings.db, None if password is None else password.reveal())

    def names(self, *wanted: "Names", **typed: str) -> list[str]:
        """The names that shell completion offers to the acting user. Creates no file.

        Raises BadInput, StoreTrouble, Busy.
        """
        from mailrotate.core.services.views import completing
        from mailrotate.core.store import names

        def find(ask: "Ask") -> list[str]:
            return completing.offered(ask, wanted, self.settings.user, **typed)

        if is_postgresql(self.settings.db):
            return names.in_store(self.database, find)
        return names.in_file(Path(self.settings.db), find)

    @cached_property
    def store(self) -> "Store":
        """The workspace's database. Raises NotFound (`workspace.none`), Refused, StoreTrouble."""
        if not self.has_database:
            raise self._no_workspace()
        from mailrotate.core.store.schema import require_current

        with self.database.reading() as connection:
            if not require_current(connection):
                raise self._no_workspace()
        return self.database

    @cached_property
    def workspace(self) -> "StoredWorkspace":
        from mailrotate.core.store import workspaces

        with self.store.reading() as connection:
            found = workspaces.find(connection)
        if found is None:
            raise self._no_workspace()
        return found

    def _no_workspace(self) -> NotFound:
        return NotFound("workspace.none", f"there is no workspace in {self.settings.db}", _NO_WORKSPACE_HINT)

    @property
    def has_workspace(self) -> bool:
        try:
            return self.workspace is not None
        except NotFound:
            return False

    def make_workspace(self, email: str, name: str) -> bool:
        """Create the workspace with its admin (A6); False if there already is one.

        It has no key until `make_key` has run; a later call of that repeats what failed.
        """
        if self.has_workspace:
            return False
        from mailrotate.core.services.access import accounts
        from mailrotate.core.store.schema import migrate, require_current

        with self.database.reading() as connection:
            current = require_current(connection)
        if not current:
            migrate(self.database)
        self.__dict__.pop("store", None)
        accounts.make_workspace(
            self.database, email, name, self._local_zone(), operating_system_user(), self.clock()
        )
        return True

    def _local_zone(self) -> str:
        import tzlocal

        try:
            return tzlocal.get_localzone_name() or "UTC"
        except (LookupError, ValueError):
            return "UTC"

    @cached_property
    def key(self) -> "WorkspaceKey":
        return self._key_of(self.workspace.identity)

    def _key_of(self, identity: str) -> "WorkspaceKey":
        from mailrotate.adapters.workspace_key import WorkspaceKey

        files = (self.settings.key_file, self.settings.credentials_directory)
        return WorkspaceKey(identity, *files, self.settings.environment)

    @property
    def key_place(self) -> "KeyPlace":
        """The place where a rekey changes the key (I1)."""
        from mailrotate.adapters.key_change import KeyChange

        return KeyChange(self.key)

    @property
    def default_email(self) -> str | None:
        """The address of the workspace's default user; in a new workspace its admin."""
        from mailrotate.core.services.access import accounts

        return accounts.default_email(self.store, self.workspace.default_user_id)

    @property
    def ever_had_key(self) -> bool:
        """False if the process that made the workspace was killed before it made the key."""
        return self.workspace.key_check is not None

    def require_key_place(self) -> None:
        """Raise KeyTrouble (`key.nowhere`) if a key that is to be made could not be stored."""
        if not (self.has_workspace and self.ever_had_key):
            self._key_of(self.workspace.identity if self.has_workspace else "new").require_place()

    def make_key(self) -> None:
        """Make the workspace key if there never was one; a key that is only missing is never replaced."""
        from mailrotate.core.services.access import accounts

        if not self.ever_had_key:
            self.key.create()
            accounts.note_key(self.context)
            self.__dict__.pop("workspace")

    def lost_key(self) -> KeyTrouble | None:
        """Why no key that opens the workspace's secrets is here; None if it is.

        Raises KeyTrouble for a key that is here and damaged, or that others can read.
        """
        check = self.workspace.key_check if self.has_workspace else None
        lost = None if check is None else self.key_trouble(self.workspace.identity, check)
        if lost is not None and lost.code not in ("key.missing", "key.wrong"):
            raise lost
        return lost

    def key_trouble(self, identity: str, check: bytes) -> KeyTrouble | None:
        """Why the key here does not open what a workspace sealed; None if it does."""
        from mailrotate.adapters.secret_box import RingBox
        from mailrotate.core.services.access import accounts

        try:
            accounts.open_check(RingBox(self._key_of(identity).load), check)
        except KeyTrouble as trouble:
            return trouble
        return None

    def start_new_key(self) -> None:
        """Use the key that is here now, or else a new one; what a lost key sealed stays closed (I1)."""
        from mailrotate.core.services.access import accounts

        self.key.create()
        accounts.start_key(self.context, self.clock())
        self.__dict__.pop("workspace")

    @cached_property
    def actor(self) -> "Actor":
        """The acting user: from `--as`, MAILROTATE_USER, or the workspace's default user."""
        from mailrotate.core.services.access import accounts
        from mailrotate.core.store.events import Actor

        if self.settings.user is not None:
            user_id: int | None = accounts.acting_user(self.store, self.settings.user)
        else:
            user_id = self.workspace.default_user_id if self.has_workspace else None
        return Actor(user_id, operating_system_user())

    @cached_property
    def mark(self) -> "MarkFile":
        """This machine's half of the mark before each final dot (F3)."""
        from mailrotate.adapters.mark_file import MarkFile

        return MarkFile(self.settings.mark_folder, self.workspace.identity, self.settings.home_id)

    @cached_property
    def context(self) -> "Context":
        from mailrotate.adapters.holiday_calendar import HolidayCalendar
        from mailrotate.adapters.secret_box import RingBox
        from mailrotate.core.services.context import Context

        return Context(
            store=self.store,
            secrets=RingBox(lambda: self.key.load()),
            provider=self.provider,
            holidays=HolidayCalendar(),
            mark=self.mark,
            webhooks=self.webhooks,
            actor=self.actor,
            later=lambda began: max(began, self.clock()),
            boot=present_boot,
            is_synchronised=is_synchronised,
        )

    def provider(self, name: str) -> "MailProvider":
        from mailrotate.providers.registry import provider_for

        return provider_for(name, self.settings.timeouts)

    def webhooks(self) -> "WebhookPoster":
        from mailrotate.adapters.webhook_poster import HttpPoster

        return HttpPoster()

    def find_servers(self, address: str) -> "ServerGuess":
        """Find the servers of an address: in the built-in table, then by MX, then by autoconfig (B1)."""
        from mailrotate.adapters.autoconfig import fetch_autoconfig
        from mailrotate.adapters.dns import mail_exchangers
        from mailrotate.providers.discovery import find_servers

        return find_servers(address, mail_exchangers, fetch_autoconfig)

    def close(self) -> None:
        if "mark" in self.__dict__:
            self.mark.close()
        if "database" in self.__dict__:
            self.database.close()
