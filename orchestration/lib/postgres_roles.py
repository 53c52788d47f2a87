"""Who may read the marts in PostgreSQL: one role of ours, and whoever the owner let in."""

import contextlib
import re
from typing import Any

import psycopg
from psycopg import sql

from orchestration.lib.errors import PostgresError
from orchestration.lib.postgres_connection import PostgresTarget

_MARK = "Voronka: reads the schema marts and nothing else"
# Without a home: made before the comment named one.
_OURS = re.compile(rf"{re.escape(_MARK)}(?:, home ([0-9a-f]+))?")


def ensure_reader(connection: psycopg.Connection[Any], target: PostgresTarget) -> None:
    """Make the read-only role, or give ours the password of the secrets again.

    A role that somebody else made keeps its password and attributes. Without a password the role
    cannot log in, and analysts become members of it. A role belongs to the whole server: that of
    another home keeps its password and gets no right to read our marts.

    Raises:
        PostgresError: The role is missing and this user may not make it, it may write, or it is
            another home's.
    """
    found = connection.execute(
        "select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls,"
        " coalesce(shobj_description(oid, 'pg_authid'), '')"
        " from pg_catalog.pg_roles where rolname = %s",
        [target.reader],
    ).fetchone()
    name = sql.Identifier(target.reader)
    if found is not None and found[0]:
        raise PostgresError(
            f"PostgreSQL at {target}: the role {target.reader} may do more than read;"
            " name another one in postgres_reader."
        )
    said = None if found is None else _OURS.fullmatch(found[1])
    if found is not None and said is None:
        return
    if said is not None and said[1] not in {None, target.home_id}:
        raise PostgresError(
            f"PostgreSQL at {target}: the role {target.reader} reads the marts of another home of"
            " Voronka; set VORONKA_POSTGRES_READER to a name of its own."
        )
    try:
        with connection.transaction():
            if found is None:
                connection.execute(sql.SQL("create role {}").format(name))
                connection.execute(
                    sql.SQL("alter role {} set default_transaction_read_only = on").format(name)
                )
            if said is None or said[1] is None:
                comment = f"{_MARK}, home {target.home_id}"
                connection.execute(
                    sql.SQL("comment on role {} is {}").format(name, sql.Literal(comment))
                )
            if target.reader_password:
                change = sql.SQL("alter role {} login password {}").format(
                    name, _verifier(connection, target)
                )
            else:
                change = sql.SQL("alter role {} nologin password null").format(name)
            connection.execute(change)
    except psycopg.errors.InsufficientPrivilege:
        if found is not None:
            return
        raise PostgresError(
            f"PostgreSQL at {target}: the role {target.reader} is missing and {target.user} may"
            f" not make it. Let an administrator run: create role {target.reader} login"
            " password '...';"
        ) from None


def copy_grants(
    connection: psycopg.Connection[Any], target: PostgresTarget, old: str, new: str
) -> None:
    """Let our reader into the database, and into the new schema it and whoever may read the old.

    Args:
        connection: An open transaction.
        target: Names our reader.
        old: The schema readers see now; it may be missing.
        new: The schema they will see.
    """
    has_reader = connection.execute(
        "select exists (select from pg_catalog.pg_roles where rolname = %s)", [target.reader]
    ).fetchone()
    schema = sql.Identifier(new)
    if has_reader and has_reader[0]:
        reader = sql.Identifier(target.reader)
        _let_connect(connection, target)
        connection.execute(sql.SQL("grant usage on schema {} to {}").format(schema, reader))
        connection.execute(
            sql.SQL("grant select on all tables in schema {} to {}").format(schema, reader)
        )
    for grantee in connection.execute(_SCHEMA_GRANTEES, [old]).fetchall():
        connection.execute(
            sql.SQL("grant usage on schema {} to {}").format(schema, _grantee(grantee[0]))
        )
    for table, grantee in connection.execute(_TABLE_GRANTEES, [old, new]).fetchall():
        connection.execute(
            sql.SQL("grant select on {} to {}").format(
                sql.Identifier(new, table), _grantee(grantee)
            )
        )


def _let_connect(connection: psycopg.Connection[Any], target: PostgresTarget) -> None:
    """Let our reader into a database that is closed to others; where we may not, doctor tells."""
    may_connect = connection.execute(
        "select has_database_privilege(%s, current_database(), 'connect')", [target.reader]
    ).fetchone()
    if may_connect and may_connect[0]:
        return
    with (
        contextlib.suppress(psycopg.errors.InsufficientPrivilege),
        connection.transaction(),
    ):
        connection.execute(
            sql.SQL("grant connect on database {} to {}").format(
                sql.Identifier(target.database), sql.Identifier(target.reader)
            )
        )


def hide_from_others(connection: psycopg.Connection[Any], schema: str) -> None:
    """Take away the use of a schema from everybody but its owner.

    Args:
        connection: An open connection.
        schema: A build that is kept for a rollback; two builds in a reader's list confuse.
    """
    for (grantee,) in connection.execute(_SCHEMA_GRANTEES, [schema]).fetchall():
        connection.execute(
            sql.SQL("revoke all on schema {} from {}").format(
                sql.Identifier(schema), _grantee(grantee)
            )
        )


_SCHEMA_GRANTEES = """
    select distinct roles.rolname
    from pg_catalog.pg_namespace as schemas
    cross join lateral aclexplode(schemas.nspacl) as acl
    left join pg_catalog.pg_roles as roles on acl.grantee = roles.oid
    where schemas.nspname = %s and acl.grantee <> schemas.nspowner
        and acl.privilege_type = 'USAGE'
"""
_TABLE_GRANTEES = """
    select distinct tables.relname, roles.rolname
    from pg_catalog.pg_class as tables
    inner join pg_catalog.pg_namespace as schemas on tables.relnamespace = schemas.oid
    cross join lateral aclexplode(tables.relacl) as acl
    left join pg_catalog.pg_roles as roles on acl.grantee = roles.oid
    where schemas.nspname = %s and tables.relkind = 'r' and acl.grantee <> tables.relowner
        and acl.privilege_type = 'SELECT'
        and exists (
            select from pg_catalog.pg_class as newer
            inner join pg_catalog.pg_namespace as newer_schemas
                on newer.relnamespace = newer_schemas.oid
            where newer_schemas.nspname = %s and newer.relname = tables.relname
        )
"""


def _grantee(role: str | None) -> sql.Composable:
    # Grantee 0 is everybody.
    return sql.SQL("public") if role is None else sql.Identifier(role)


def _verifier(connection: psycopg.Connection[Any], target: PostgresTarget) -> sql.Literal:
    """Return what the server stores instead of the password, which no server log then shows."""
    made = connection.pgconn.encrypt_password(
        (target.reader_password or "").encode(), target.reader.encode(), b"scram-sha-256"
    )
    return sql.Literal(made.decode())
