"""What `voronka doctor` looks at in PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from ingest.config import Settings
from orchestration.lib.errors import PostgresError
from orchestration.lib.postgres_connection import PostgresTarget, connected, target_of
from orchestration.lib.postgres_serving import PostgresServing
from orchestration.lib.serving import MARTS_SCHEMA

Status = Literal["ok", "note", "PROBLEM"]

_RIGHTS = """
    select
        has_database_privilege(current_user, current_database(), 'create'),
        current_setting('server_version'),
        (select ssl from pg_catalog.pg_stat_ssl where pid = pg_backend_pid())
"""
_SEEN_BY_READER = """
    select
        count(*),
        count(*) filter (
            where not has_table_privilege(current_user, tables.oid, 'select')
        ),
        count(*) filter (
            where has_table_privilege(
                current_user, tables.oid, 'insert, update, delete, truncate'
            )
        )
    from pg_catalog.pg_class as tables
    inner join pg_catalog.pg_namespace as schemas on tables.relnamespace = schemas.oid
    where schemas.nspname = %s and tables.relkind = 'r'
"""


def examine_postgres(
    settings: Settings, served_run_id: str | None
) -> Iterator[tuple[Status, str, str]]:
    """Yield findings about the server: reachability, rights, the served build, the reader.

    Args:
        settings: The home's settings.
        served_run_id: The run whose file the home serves, or None.

    Yields:
        State, what was seen, what to do.

    Raises:
        PostgresError: The server cannot be reached or refuses.
    """
    target = target_of(settings)
    with connected(target) as connection:
        row = connection.execute(_RIGHTS).fetchone()
    may_create, version, is_encrypted = row or (False, "?", False)
    tls = "encrypted" if is_encrypted else "not encrypted"
    yield "ok", f"{target} answers, PostgreSQL {version}, {tls}", ""
    if not may_create:
        yield (
            "PROBLEM",
            f"{target.user} may not make schemas in {target.database}",
            f"grant create on database {target.database} to {target.user};",
        )
    serving = PostgresServing(target)
    served = serving.served()
    if served is None:
        yield "note", "no marts there yet", "Run `voronka refresh`"
        return
    text = f"marts: build loaded {served.loaded_at} UTC"
    if served_run_id is not None and served.run_id != served_run_id:
        yield "PROBLEM", f"{text}, not the one this home serves", "Run `voronka refresh`"
    else:
        yield "ok", text, ""
    yield from _examine_reader(target)


def _examine_reader(target: PostgresTarget) -> Iterator[tuple[Status, str, str]]:
    if not target.reader_password:
        yield (
            "note",
            f"{target.reader} has no password from us, nobody logs in as it",
            "Set POSTGRES__READER_PASSWORD, or grant the role to people's own",
        )
        return
    as_reader = replace(target, user=target.reader, password=target.reader_password)
    try:
        with connected(as_reader) as connection:
            row = connection.execute(_SEEN_BY_READER, [MARTS_SCHEMA]).fetchone()
    except PostgresError as error:
        yield "PROBLEM", f"the reader cannot log in: {error}", ""
        return
    tables, unreadable, writable = row or (0, 0, 0)
    if unreadable or writable:
        yield (
            "PROBLEM",
            f"{target.reader} cannot read {unreadable} and may change {writable} tables of"
            f" {tables}",
            "Put its rights right: usage on the schema, select on its tables, nothing else",
        )
    else:
        yield "ok", f"{target.reader} reads {tables} tables and changes none", ""
