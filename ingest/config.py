"""Environment and `voronka.toml` turned into typed settings; the only place that knows os.environ.

Order of precedence: environment, then the file, then the default. Every value remembers where it
came from, so that `voronka doctor` can say so.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from ingest.errors import ConfigurationError
from ingest.sources import SOURCES

MAIN_LABEL = "main"
DEMO = "demo"
COMPANY = "company"
FILES = "files"
METABASE = "metabase"
METABASE_SECRETS = ("api_key", "email", "password")
POSTGRES = "postgres"
POSTGRES_SECRETS = ("password", "reader_password")

_REPOSITORY = Path(__file__).resolve().parent.parent
_LABEL = re.compile(r"[a-z0-9][a-z0-9_]*")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?[MG]i?B")
_ADDRESS = re.compile(r"[^\s/@:]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
# The path of the home goes into SQL texts, addresses of files and templates of DuckDB, dlt, dbt and
# SQLAlchemy, where these mean something else.
_UNUSABLE_IN_PATHS = re.compile(r"['%#?{}\x00-\x1f]")
_SECRET = re.compile(r"[!-~]+")
_SECTION = "source"
_ENVIRONMENT = "Environment Variables"
_PREFIX = "VORONKA_"
# Read by others than the settings: the command, dbt's profile, Dagster, the compose file.
_NO_SETTINGS = frozenset({"home", "traceback", "memory_limit", "dagster_dir", "serve_folder"})

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True)
class Home:
    """Every path of one company's state; two homes never share anything."""

    root: Path

    @property
    def config_file(self) -> Path:
        """Return the settings file."""
        return self.root / "voronka.toml"

    @property
    def secrets_file(self) -> Path:
        """Return dlt's secrets file of this home."""
        return self.root / "secrets.toml"

    @property
    def warehouse(self) -> Path:
        """Return the DuckDB file that only a refresh opens."""
        return self.root / "warehouse.duckdb"

    @property
    def refresh_lock(self) -> Path:
        """Return the file whose lock a refresh holds."""
        return self.root / "refresh.lock"

    @property
    def company_dir(self) -> Path:
        """Return the folder of the company's own tables."""
        return self.root / "company"

    @property
    def privacy_key(self) -> Path:
        """Return the key of the personal data hashes."""
        return self.root / "keys" / "privacy.key"

    @property
    def privacy_key_backup(self) -> Path:
        """Return the second copy of the key."""
        return self.root / "keys" / "privacy.key.backup"

    @property
    def secrets_dir(self) -> Path:
        """Return the folder of rotating token stores."""
        return self.root / "secrets"

    @property
    def dlt_dir(self) -> Path:
        """Return dlt's working folder."""
        return self.root / "dlt"

    @property
    def dagster_dir(self) -> Path:
        """Return the folder of Dagster's run storage."""
        return self.root / "dagster"

    @property
    def dbt_target_dir(self) -> Path:
        """Return the folder of dbt's compiled models and manifest."""
        return self.root / "dbt" / "target"

    @property
    def dbt_parsed_dir(self) -> Path:
        """Return where the parsed project lies, which no build writes to."""
        return self.root / "dbt" / "parsed"

    @property
    def dbt_log_dir(self) -> Path:
        """Return the folder of dbt's logs."""
        return self.root / "dbt" / "logs"

    @property
    def serve_dir(self) -> Path:
        """Return the folder of published files."""
        return self.root / "serve"

    def serve_file(self, run_id: str) -> Path:
        """Return the marts file that one run builds.

        Args:
            run_id: The run's name.
        """
        return self.serve_dir / f"voronka_{run_id}.duckdb"

    @property
    def serve_current(self) -> Path:
        """Return the file that analysts read."""
        return self.serve_dir / "voronka.duckdb"

    @property
    def serve_state(self) -> Path:
        """Return the record of what is published."""
        return self.serve_dir / "state.json"

    @property
    def page_file(self) -> Path:
        """Return the owner's page."""
        return self.root / "page" / "index.html"

    @property
    def logs_dir(self) -> Path:
        """Return the folder of run logs."""
        return self.root / "logs"

    @property
    def postgres_state(self) -> Path:
        """Return the file with the name under which this home publishes to PostgreSQL."""
        return self.root / "postgres" / "state.json"

    @property
    def metabase_dir(self) -> Path:
        """Return the folder of what we know of the Metabase instance: ids, not secrets."""
        return self.root / "metabase"

    @property
    def metabase_state(self) -> Path:
        """Return the file of remembered ids of the instance."""
        return self.metabase_dir / "state.json"

    @property
    def metabase_key(self) -> Path:
        """Return the API key that setting Metabase up made, readable by its owner only."""
        return self.secrets_dir / "metabase.json"

    @property
    def demo_dir(self) -> Path:
        """Return the folder of the demo company's own state."""
        return self.root / "demo"

    @property
    def demo_marker(self) -> Path:
        """Return the file that says which demo company lives in this home."""
        return self.demo_dir / "company.json"


@dataclass(frozen=True, order=True)
class SourceRef:
    """One account of one source, written `amocrm` or `amocrm:second`."""

    name: str
    label: str = MAIN_LABEL

    @classmethod
    def parse(cls, text: str) -> "SourceRef":
        """Return the reference that a settings entry names.

        Args:
            text: `name` or `name:label`.

        Raises:
            ConfigurationError: The source is unknown or the label has other than a-z, 0-9, _.
        """
        name, _, label = text.strip().partition(":")
        if name not in SOURCES and name != DEMO:
            known = ", ".join([*SOURCES, DEMO])
            raise ConfigurationError(
                f"unknown source {name!r} in the setting sources", action=f"Use one of: {known}"
            )
        label = label or MAIN_LABEL
        if not _LABEL.fullmatch(label):
            raise ConfigurationError(
                f"account label {label!r} of source {name} is not usable",
                action="Use lower-case letters, digits and _",
            )
        return cls(name, label)

    def __str__(self) -> str:
        return self.name if self.label == MAIN_LABEL else f"{self.name}:{self.label}"


@dataclass(frozen=True)
class SettingValue:
    """One setting as `doctor` prints it; secrets are masked."""

    name: str
    value: str
    origin: str


class Settings(BaseModel):
    """Everything that is not secret, validated and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    home: Home
    sources: tuple[SourceRef, ...] = ()
    files: tuple[Path, ...] = ()
    currency: str | None = None
    timezone: str | None = None
    locale: Literal["ru", "en"] = "ru"
    personal_data: Literal["hash", "keep"] = "hash"
    sales_rep_names: Literal["drop", "keep"] = "drop"
    known_as_of_at: datetime | None = None
    serving: Literal["duckdb", "postgres"] = "duckdb"
    postgres_url: str | None = None
    postgres_tls: Literal["disable", "prefer", "require", "verify-full"] = "prefer"
    postgres_tls_root: Path | None = None
    postgres_reader: str = "voronka_reader"
    metabase_url: str | None = None
    metabase_database_name: str = Field(default="Voronka", min_length=1, max_length=100)
    metabase_database_folder: str | None = None
    metabase_memory_limit: str = "512MB"
    metabase_postgres_address: str | None = None
    source_options: dict[str, dict[str, Any]] = Field(default_factory=dict)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("currency")
    @classmethod
    def _check_currency(cls, value: str | None) -> str | None:
        if value is not None and not _CURRENCY.fullmatch(value):
            raise ValueError("must be a code of three capital letters, such as RUB")
        return value

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("must be a zone name, such as Europe/Moscow")
        return value

    @field_validator("postgres_url")
    @classmethod
    def _check_postgres_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        try:
            has_port = parts.port is None or parts.port > 0
        except ValueError:
            has_port = False
        is_whole = parts.hostname and parts.username and parts.path.count("/") == 1
        if parts.scheme not in {"postgresql", "postgres"} or not is_whole or not has_port:
            raise ValueError("must be postgresql://user@host:5432/database")
        if not parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must end with the database's name; TLS is the setting postgres_tls")
        return value

    @field_validator("postgres_reader")
    @classmethod
    def _check_postgres_reader(cls, value: str) -> str:
        if not _ROLE.fullmatch(value) or value.startswith("pg_"):
            raise ValueError("must be a role's name of lower-case letters, digits and _")
        return value

    @field_validator("metabase_postgres_address")
    @classmethod
    def _check_postgres_address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("must be host or host:port, as Metabase sees it")
        return value

    @field_validator("metabase_url")
    @classmethod
    def _check_metabase_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address, such as http://127.0.0.1:3000")
        return value.rstrip("/").removesuffix("/api")

    @field_validator("metabase_database_folder")
    @classmethod
    def _check_database_folder(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("must be a whole path, as Metabase sees it, such as /marts")
        return value

    @field_validator("metabase_memory_limit")
    @classmethod
    def _check_memory_limit(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value):
            raise ValueError("must be a size, such as 512MB or 1.5GB")
        return value

    @field_validator("known_as_of_at")
    @classmethod
    def _to_naive_utc(cls, value: datetime | None) -> datetime | None:
        if value is None or value.tzinfo is None:
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    @property
    def enabled_sources(self) -> tuple[SourceRef, ...]:
        """Return the named sources and, always last, the company's own tables."""
        own = SourceRef(COMPANY)
        return (*(ref for ref in self.sources if ref != own), own)

    @property
    def is_demo(self) -> bool:
        """Return whether this home shows the demo company."""
        return any(ref.name == DEMO for ref in self.sources)

    def options_of(self, ref: SourceRef, model: type[AnyModel]) -> AnyModel:
        """Return the typed options of one source account.

        Args:
            ref: Source and account label.
            model: The source's settings model.

        Raises:
            ConfigurationError: A value does not fit, or a key is unknown.
        """
        try:
            return model.model_validate(self.source_options.get(_option_key(ref), {}))
        except ValidationError as error:
            raise _explained(
                error, lambda name: self._origin(f"{_SECTION}.{ref.name}.{ref.label}.{name}")
            ) from None

    def zone(self, account_zone: str | None = None) -> ZoneInfo:
        """Return the company's zone: the setting, else the account's, else UTC.

        Args:
            account_zone: What the source says of its account.
        """
        return ZoneInfo(self.timezone or account_zone or "UTC")

    def with_source_options(
        self,
        sources: tuple[SourceRef, ...],
        options: Mapping[SourceRef, Mapping[str, Any]],
        *,
        origin: str,
    ) -> "Settings":
        """Return a copy that reads other sources, such as the demo company's servers.

        Args:
            sources: The sources to read instead.
            options: Options to lay over those of each source account.
            origin: Where the new values come from, for `explain`.
        """
        merged = {key: dict(values) for key, values in self.source_options.items()}
        origins = dict(self._origins)
        origins["sources"] = origin
        for ref, values in options.items():
            merged.setdefault(_option_key(ref), {}).update(values)
            for name in values:
                origins[f"{_SECTION}.{ref.name}.{ref.label}.{name}"] = origin
        copy = self.model_copy(update={"sources": sources, "source_options": merged})
        copy._origins = origins
        return copy

    def explain(self) -> list[SettingValue]:
        """Return every setting, its value and where it came from; secrets are masked."""
        values = [SettingValue("home", str(self.home.root), self._origin("home"))]
        for name in Settings.model_fields:
            if name not in {"home", "source_options"}:
                shown = _shown(getattr(self, name))
                values.append(SettingValue(name, shown, self._origin(name)))
        for ref in self.enabled_sources:
            if ref.name == DEMO:
                continue
            definition = SOURCES[ref.name]
            prefix = f"{_SECTION}.{ref.name}.{ref.label}"
            options = self.options_of(ref, definition.settings_model)
            for name in type(options).model_fields:
                full = f"{prefix}.{name}"
                shown = _shown(getattr(options, name))
                values.append(SettingValue(full, shown, self._origin(full)))
            for name in definition.secrets:
                secret, origin = _find_secret(self.home, ref, name)
                values.append(SettingValue(f"{prefix}.{name}", "***" if secret else "", origin))
        services: dict[str, tuple[str, ...]] = {}
        if self.metabase_url is not None:
            services[METABASE] = METABASE_SECRETS
        if self.serving == "postgres":
            services[POSTGRES] = POSTGRES_SECRETS
        for service, names in services.items():
            for name in names:
                secret, origin = _lookup_secret(self.home, name, [(service,)])
                values.append(SettingValue(f"{service}.{name}", "***" if secret else "", origin))
        return values

    def _origin(self, name: str) -> str:
        return self._origins.get(name, "default")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the home folder that the environment names.

    Args:
        environ: Variables to read instead of the process's own.

    Raises:
        ConfigurationError: A file does not parse, a key is unknown, a value does not fit, or the
            home's path cannot be used.
    """
    variables = os.environ if environ is None else environ
    origins: dict[str, str] = {}
    home = Home(Path(variables.get("VORONKA_HOME") or _REPOSITORY / "var").expanduser().absolute())
    origins["home"] = "environment VORONKA_HOME" if variables.get("VORONKA_HOME") else "default"
    _refuse_unusable_path(home.root)

    values, sections = _read_file(home.config_file, origins)
    _refuse_unknown_variables(variables)
    _lay_environment_over(values, variables, origins)
    _refuse_credentials_in_url(values.get("metabase_url"), origins)
    _refuse_password_in_url(values.get("postgres_url"), origins)
    options = _source_options(sections, variables, origins, home.config_file)

    values["sources"] = tuple(
        dict.fromkeys(SourceRef.parse(text) for text in _texts(values.get("sources"), "sources"))
    )
    values["files"] = tuple(
        (home.root / Path(text).expanduser()).resolve()
        if origins.get("files", "").endswith(home.config_file.name)
        else Path(text).expanduser().absolute()
        for text in _texts(values.get("files"), "files")
    )
    try:
        settings = Settings(home=home, source_options=options, **values)
    except ValidationError as error:
        raise _explained(error, lambda name: origins.get(name, "default")) from None
    settings._origins = origins
    if settings.serving == "postgres" and settings.postgres_url is None:
        raise ConfigurationError(
            f"serving = postgres ({settings._origin('serving')}) needs the setting postgres_url",
            action="Set VORONKA_POSTGRES_URL=postgresql://user@host:5432/database",
        )
    if settings.is_demo and any(ref.name not in {DEMO, COMPANY} for ref in settings.sources):
        raise ConfigurationError(
            "the demo company cannot share a home folder with real sources",
            action="Give the demo its own VORONKA_HOME, or take demo out of sources",
        )
    for key in options:
        ref = SourceRef(*key.split("."))
        settings.options_of(ref, SOURCES[ref.name].settings_model)
    return settings


def read_secret(home: Home, ref: SourceRef, name: str) -> str | None:
    """Return a secret of one source account, or None where nobody gave it.

    Looked up as `sources.<source>.<label>.<name>`, then `sources.<source>.<name>`, in the
    environment (SOURCES__AMOCRM__TOKEN), then in `secrets.toml` of the home folder.

    Args:
        home: The home folder.
        ref: Source and account label.
        name: The secret's name.

    Raises:
        ConfigurationError: It holds a sign that no token has and no request can carry.
    """
    secret, origin = _find_secret(home, ref, name)
    if secret is not None and not _SECRET.fullmatch(secret):
        raise ConfigurationError(
            f"the secret {name} ({origin}) holds a blank or a sign that is not ASCII",
            account=str(ref),
            action="Paste it again, alone and without quotes of a text editor",
        )
    return secret


def read_service_secret(home: Home, service: str, name: str) -> str | None:
    """Return a secret of a service we show results in, or None where nobody gave it.

    Looked up as `<service>.<name>` in the environment (METABASE__API_KEY), then in `secrets.toml`
    of the home folder.

    Args:
        home: The home folder.
        service: Such as `metabase`.
        name: The secret's name.
    """
    return _lookup_secret(home, name, [(service,)])[0]


def require_secret(home: Home, ref: SourceRef, name: str) -> str:
    """Return a secret of one source account.

    Args:
        home: The home folder.
        ref: Source and account label.
        name: The secret's name.

    Raises:
        ConfigurationError: Nobody gave it, or it cannot be a token.
    """
    secret = read_secret(home, ref, name)
    if secret:
        return secret
    parts = [ref.name] if ref.label == MAIN_LABEL else [ref.name, ref.label]
    variable = "__".join(["SOURCES", *parts, name]).upper()
    section = ".".join(["sources", *parts])
    raise ConfigurationError(
        f"the secret {name} is missing",
        account=str(ref),
        action=f"Set {variable}, or {name} under [{section}] in {home.secrets_file}",
    )


@contextmanager
def applied(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for this process and its children, and put the old values back.

    Args:
        variables: Names and values of the environment.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def dlt_configured(home: Home) -> Iterator[None]:
    """Let dlt read this home and the environment only, never the user's global folder.

    A token left in a developer's `~/.dlt` would otherwise be sent on behalf of another company.

    Args:
        home: The home folder.
    """
    import dlt  # noqa: F401  (fills the container with the default context)
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.providers import EnvironProvider
    from dlt.common.configuration.providers.doc import CustomLoaderDocProvider
    from dlt.common.configuration.specs import PluggableRunContext
    from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
    from dlt.common.runtime.telemetry import stop_telemetry

    context = Container()[PluggableRunContext]
    # Somebody may have touched dlt before this package could switch its telemetry off.
    stop_telemetry()
    previous = context.providers
    context.providers = ConfigProvidersContainer(
        [
            CustomLoaderDocProvider("voronka", lambda: _dlt_options(home), supports_secrets=False),
            EnvironProvider(),
            CustomLoaderDocProvider(
                "secrets.toml", lambda: _secrets_of(home), supports_secrets=True
            ),
        ]
    )
    run_context: Any = context.context
    previous_global_dir = run_context._global_dir
    run_context._global_dir = str(home.dlt_dir)
    try:
        run_context.initialize_runtime()
        yield
    finally:
        context.providers = previous
        run_context._global_dir = previous_global_dir


def _dlt_options(home: Home) -> dict[str, Any]:
    return {
        "pipelines_dir": str(home.dlt_dir / "pipelines"),
        # The trace pickles every setting that was looked up, secrets included.
        "enable_runtime_trace": False,
        "runtime": {"dlthub_telemetry": False, "log_level": "ERROR"},
        "normalize": {
            "workers": 1,
            "loader_file_format": "parquet",
            "parquet_normalizer": {"add_dlt_load_id": True},
            "data_writer": {"compression": "snappy"},
        },
        "load": {"workers": 2, "delete_completed_jobs": True, "raise_on_failed_jobs": True},
        "extract": {"next_item_mode": "fifo", "workers": 1},
    }


def _secrets_of(home: Home) -> dict[str, Any]:
    if not home.secrets_file.is_file():
        return {}
    try:
        return tomllib.loads(home.secrets_file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's message quotes the line, and that line may be the secret.
        raise ConfigurationError(
            f"{home.secrets_file} is not valid TOML", action="Check its quotes and brackets"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{home.secrets_file} cannot be read ({error.strerror})",
            action="Make it readable for the user that runs voronka",
        ) from None


def _find_secret(home: Home, ref: SourceRef, name: str) -> tuple[str | None, str]:
    places = [("sources", ref.name, ref.label), ("sources", ref.name)]
    secret, origin = _lookup_secret(home, name, places)
    # A pasted token brings the end of its line along; a service's password may begin with a blank.
    stripped = (secret or "").strip()
    return (stripped, origin) if stripped else (None, "not set")


def _lookup_secret(
    home: Home, name: str, places: Sequence[tuple[str, ...]]
) -> tuple[str | None, str]:
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs import PluggableRunContext

    with dlt_configured(home):
        for sections in places:
            # Straight from dlt's providers: its accessor keeps each value in a trace.
            for provider in Container()[PluggableRunContext].providers.providers:
                if provider.supports_secrets:
                    value, key = provider.get_value(name, str, None, *sections)
                    if value:
                        place = "environment" if provider.name == _ENVIRONMENT else provider.name
                        return str(value), f"{place} {key}"
    return None, "not set"


def _option_key(ref: SourceRef) -> str:
    return f"{ref.name}.{ref.label}"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value)
    return str(value)


def _texts(value: object, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"the setting {name} must be a list of texts")
    return [item for item in value if item.strip()]


def _read_file(path: Path, origins: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    if not path.is_file():
        return {}, {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None
    sections = document.pop(_SECTION, {})
    known = set(Settings.model_fields) - {"home", "source_options"}
    for name in document:
        if name not in known:
            raise ConfigurationError(
                f"unknown key {name!r} in {path}",
                action=f"Known keys: {', '.join(sorted(known))} and [{_SECTION}.<name>.<label>]",
            )
        origins[name] = str(path.name)
    if not isinstance(sections, dict):
        raise ConfigurationError(f"{_SECTION} in {path} must be a section per source and account")
    return document, sections


def _refuse_unusable_path(root: Path) -> None:
    found = _UNUSABLE_IN_PATHS.search(str(root))
    if found is not None:
        raise ConfigurationError(
            f"the path of the home folder {str(root)!r} has {found[0]!r} in it",
            action="Set VORONKA_HOME to a path without any of ' % # ? { }",
        )


def _refuse_credentials_in_url(url: object, origins: Mapping[str, str]) -> None:
    # Before anything could print the value.
    if isinstance(url, str) and "@" in urlsplit(url).netloc:
        raise ConfigurationError(
            f"metabase_url ({origins.get('metabase_url', 'default')}) holds a user or password",
            action="Give the address alone; the key goes into METABASE__API_KEY",
        )


def _refuse_password_in_url(url: object, origins: Mapping[str, str]) -> None:
    # The last @ ends the user's part: a password may hold one, unescaped.
    if isinstance(url, str) and ":" in url.rpartition("@")[0].partition("://")[2]:
        raise ConfigurationError(
            f"postgres_url ({origins.get('postgres_url', 'default')}) holds a password",
            action="Write postgresql://user@host:5432/database; the password goes into"
            " POSTGRES__PASSWORD, or password under [postgres] in secrets.toml",
        )


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    known = set(Settings.model_fields) - {"home", "source_options"}
    for variable in sorted(variables):
        name = variable.removeprefix(_PREFIX).lower()
        # The options of a source are looked at where they are read.
        is_option = any(name.startswith(f"{source}_") for source in SOURCES)
        if variable.startswith(_PREFIX) and not is_option and name not in known | _NO_SETTINGS:
            settings = ", ".join(sorted(_PREFIX + one.upper() for one in known | {"home"}))
            raise ConfigurationError(
                f"unknown environment variable {variable}", action=f"Settings: {settings}"
            )


def _lay_environment_over(
    values: dict[str, Any], variables: Mapping[str, str], origins: dict[str, str]
) -> None:
    for name in Settings.model_fields:
        variable = f"{_PREFIX}{name.upper()}"
        if name in {"home", "source_options"} or variable not in variables:
            continue
        text = variables[variable].strip()
        if name == "sources":
            values[name] = [part.strip() for part in text.split(",") if part.strip()]
        elif name == "files":
            values[name] = [part for part in text.split(os.pathsep) if part]
        elif text:
            values[name] = text
        else:
            continue
        origins[name] = f"environment {variable}"


def _source_options(
    sections: Mapping[str, Any],
    variables: Mapping[str, str],
    origins: dict[str, str],
    path: Path,
) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for source, labels in sections.items():
        if source not in SOURCES:
            raise ConfigurationError(
                f"unknown section [{_SECTION}.{source}] in {path}",
                action=f"Known sources: {', '.join(SOURCES)}",
            )
        if not isinstance(labels, dict) or not all(isinstance(v, dict) for v in labels.values()):
            raise ConfigurationError(
                f"[{_SECTION}.{source}] in {path} must name the account",
                action=f"Write [{_SECTION}.{source}.{MAIN_LABEL}]",
            )
        for label, values in labels.items():
            ref = SourceRef.parse(f"{source}:{label}")
            options[_option_key(ref)] = dict(values)
            for name in values:
                origins[f"{_SECTION}.{source}.{label}.{name}"] = path.name
    for source, definition in SOURCES.items():
        prefix = f"{_PREFIX}{source.upper()}_"
        named = {key: text for key, text in variables.items() if key.startswith(prefix)}
        if not named:
            continue
        known = set(definition.settings_model.model_fields)
        for variable, text in named.items():
            name = variable.removeprefix(prefix).lower()
            if name not in known:
                raise ConfigurationError(
                    f"unknown environment variable {variable}",
                    action=f"Options of {source}: {', '.join(sorted(known))}",
                )
            if text.strip():
                options.setdefault(f"{source}.{MAIN_LABEL}", {})[name] = text.strip()
                origins[f"{_SECTION}.{source}.{MAIN_LABEL}.{name}"] = f"environment {variable}"
    return options


def _explained(error: ValidationError, origin_of: Any) -> ConfigurationError:
    parts = []
    for problem in error.errors(include_url=False, include_input=True):
        name = ".".join(str(step) for step in problem["loc"])
        head = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {name!r} ({origin_of(head)})")
        else:
            parts.append(f"{name} = {problem['input']!r} ({origin_of(head)}): {message}")
    return ConfigurationError("settings do not fit: " + "; ".join(parts))
