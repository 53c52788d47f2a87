"""The database in Metabase that shall show the marts: its name, engine and connection details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ingest.config import POSTGRES, Settings

DUCKDB = "duckdb"
_GROUP_WORDS = {"ru": "владельцы", "en": "owners"}
# What Metabase shows instead of a secret it holds.
_HIDDEN = "**MetabasePass**"


@dataclass(frozen=True)
class Target:
    """The database that shall be there.

    Attributes:
        name: As people see it.
        engine: "duckdb" or "postgres".
        details: Connection details; may hold a password, so it is not shown by `repr`.
        file_name: The published file, for DuckDB.
        group_name: The group whose members read and cannot edit.
    """

    name: str
    engine: str
    details: Mapping[str, Any] = field(repr=False)
    file_name: str | None
    group_name: str

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Return whether connection details lead to this home's published marts."""
        if self.engine == DUCKDB:
            return _folder(found) == _folder(self.details)
        keys = ("host", "port", "dbname")
        return all(str(found.get(key)) == str(self.details.get(key)) for key in keys)

    def place_of(self, found: Mapping[str, Any]) -> str:
        """Return what connection details lead to, in words without secrets."""
        if self.engine == DUCKDB:
            return str(found.get("database_file"))
        return f"{found.get('host')}:{found.get('port')}/{found.get('dbname')}"

    def differing(self, found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the details that are not as they shall be: found and wanted by name.

        A hidden secret cannot be compared and counts as equal.
        """
        return {
            name: (found.get(name), wanted)
            for name, wanted in self.details.items()
            if found.get(name) != wanted and found.get(name) != _HIDDEN
        }


def target_of(settings: Settings, file_name: str | None) -> Target:
    """Return the database that shall show a published build.

    Args:
        settings: Of the home.
        file_name: The build's file in the serve folder; not needed for PostgreSQL.
    """
    name = settings.metabase_database_name
    group = f"{name}: {_GROUP_WORDS[settings.locale]}"
    if settings.serving == DUCKDB:
        folder = PurePosixPath(settings.metabase_database_folder or settings.home.serve_dir)
        details: dict[str, Any] = {
            "database_file": str(folder / (file_name or "")),
            "read_only": True,
            # Date filters fail without it.
            "old_implicit_casting": True,
            # Without it DuckDB takes four fifths of the memory that Metabase itself lives in.
            "memory_limit": settings.metabase_memory_limit,
        }
        return Target(name, DUCKDB, details, file_name, group)
    from orchestration.lib.postgres_connection import metabase_details

    details = metabase_details(settings)
    return Target(name, POSTGRES, details, None, group)


def _folder(details: Mapping[str, Any]) -> str:
    file = str(details.get("database_file") or "").partition("?")[0]
    return str(PurePosixPath(file).parent) if file else ""
