"""The connection to the PostgreSQL server that serves the marts, and its errors in one line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg

from ingest.config import POSTGRES, Home, Settings, read_service_secret
from ingest.errors import ConfigurationError
from orchestration.lib.errors import PostgresError, PostgresStorageError
from orchestration.lib.serving import MARTS_SCHEMA

DEFAULT_PORT = 5432
_CONNECT_SECONDS = 10
# A load sends without pause; a server that says nothing for so long is gone.
_DEAD_AFTER_MILLISECONDS = 60_000


@dataclass(frozen=True)
class PostgresTarget:
    """Where the marts go, as whom, and who may read them; passwords never appear in its text."""

    host: str
    port: int
    database: str
    user: str
    tls: str
    tls_root: Path | None
    reader: str
    home_id: str
    password: str | None = field(default=None, repr=False)
    reader_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def target_of(settings: Settings) -> PostgresTarget:
    """Return the target that the settings and secrets name.

    Raises:
        ConfigurationError: No URL is set, or the reader is the publishing user itself.
    """
    if settings.postgres_url is None:
        raise ConfigurationError(
            "the setting postgres_url is missing",
            action="Set VORONKA_POSTGRES_URL=postgresql://user@host:5432/database",
        )
    parts = urlsplit(settings.postgres_url)
    user = unquote(parts.username or "")
    if user == settings.postgres_reader:
        raise ConfigurationError(
            f"postgres_reader and the user of postgres_url are both {user}",
            action="Readers need a role of their own, one that may not write",
        )
    return PostgresTarget(
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORT,
        database=unquote(parts.path.strip("/")),
        user=user,
        tls=settings.postgres_tls,
        tls_root=settings.postgres_tls_root,
        reader=settings.postgres_reader,
        home_id=_home_id(settings.home),
        password=read_service_secret(settings.home, POSTGRES, "password"),
        reader_password=read_service_secret(settings.home, POSTGRES, "reader_password"),
    )


def metabase_details(settings: Settings) -> dict[str, Any]:
    """Return the connection that Metabase stores for the marts in PostgreSQL.

    The dictionary holds the reader's password: it goes into a request body, never into a log.

    Args:
        settings: The home's settings; `metabase_postgres_address` is the server's address as
            Metabase sees it, by default the one of `postgres_url`.

    Raises:
        ConfigurationError: The reader has no password, or no URL is set.
    """
    target = target_of(settings)
    if not target.reader_password:
        raise ConfigurationError(
            "Metabase needs the password of the reading role",
            action="Set POSTGRES__READER_PASSWORD, or reader_password under [postgres] in"
            " secrets.toml",
        )
    host, port = target.host, target.port
    if settings.metabase_postgres_address is not None:
        parts = urlsplit(f"//{settings.metabase_postgres_address}")
        host, port = parts.hostname or host, parts.port or port
    details: dict[str, Any] = {
        "host": host,
        "port": port,
        "dbname": target.database,
        "user": target.reader,
        "password": target.reader_password,
        "ssl": target.tls in {"require", "verify-full"},
        # The build before stays in a schema of its own; nobody should pick tables from it.
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": MARTS_SCHEMA,
    }
    if details["ssl"]:
        details["ssl-mode"] = target.tls
    return details


@contextmanager
def connected(target: PostgresTarget) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection in which each block of `transaction()` commits by itself.

    Args:
        target: The server, database and user.

    Raises:
        PostgresError: The server cannot be reached or refuses.
        PostgresStorageError: Its disk is full.
    """
    with _told(target):
        connection = psycopg.connect(
            host=target.host,
            port=target.port,
            dbname=target.database,
            user=target.user,
            password=target.password,
            sslmode=target.tls,
            sslrootcert=str(target.tls_root) if target.tls_root else None,
            # A password left in a developer's home must not be sent for another company.
            passfile=os.devnull,
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=_DEAD_AFTER_MILLISECONDS,
            keepalives_idle=30,
            client_encoding="UTF8",
            application_name="voronka",
            autocommit=True,
            # Through a pooler in transaction mode a prepared statement may be another session's.
            prepare_threshold=None,
        )
        with connection:
            yield connection


@contextmanager
def _told(target: PostgresTarget) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise explained(error, target) from None


def explained(error: psycopg.Error, target: PostgresTarget) -> PostgresError:
    """Return an error of the driver as one line that says what to do.

    Args:
        error: What psycopg raised.
        target: The server it speaks of.
    """
    where = f"PostgreSQL at {target}"
    primary = error.diag.message_primary
    words = _one_line(primary or str(error), target)
    match error.sqlstate:
        case "53100":
            return PostgresStorageError(
                f"{where}: the server's disk is full; free some space there. It goes on showing"
                " the build it has."
            )
        case "42501":
            return PostgresError(
                f"{where}: {words}. The user {target.user} must own the database or hold the right"
                f" create on it: grant create on database {target.database} to {target.user};"
            )
        case None:
            return PostgresError(_connection_line(where, words, target))
        case state:
            return PostgresError(f"{where}: {words} ({state}). It goes on showing the build it has")


def _connection_line(where: str, words: str, target: PostgresTarget) -> str:
    lowered = words.lower()
    if "password authentication failed" in lowered or "no password supplied" in lowered:
        given = "is wrong" if target.password else "is missing"
        return (
            f"{where} refuses the user {target.user}: the password {given}."
            " Set POSTGRES__PASSWORD, or password under [postgres] in secrets.toml"
        )
    if "ssl" in lowered or "certificate" in lowered:
        return f"{where}: {words}. The setting postgres_tls is {target.tls}"
    if "fatal:" in lowered:
        return f"{where} refuses: {words}. Check postgres_url and the server's pg_hba.conf"
    return f"{where} does not answer: {words}. Check postgres_url and whether the server runs"


def _one_line(text: str, target: PostgresTarget) -> str:
    words = " ".join(text.split())
    for secret in (target.password, target.reader_password):
        if secret:
            words = words.replace(secret, "***")
    return words[:400].rstrip(" .?")


def _home_id(home: Home) -> str:
    """Return the name of this home in the database, made on first use.

    Two homes that publish into one database would show one company's numbers as the other's.
    """
    path = home.postgres_state
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["home_id"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{path} cannot be read", action="Restore it, or remove it and the schema marts"
        ) from None
    home_id = uuid4().hex[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"home_id": home_id}), encoding="utf-8")
    temporary.replace(path)
    return home_id
