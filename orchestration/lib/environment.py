"""What dbt, Dagster and dlt find in their environment."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from ingest.config import Home, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
DBT_PROJECT_DIR = REPOSITORY / "dbt_project"
DASHBOARDS_DIR = REPOSITORY / "orchestration" / "dashboards"

# Set on runs made by the command; Dagster shows it, and recovery relies on it.
COMMAND_TAG = "voronka/command"

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}


def new_run_id() -> str:
    """Return a run id; Dagster, the lock and the published file all carry it."""
    return str(uuid4())


def dagster_environment(home: Home) -> dict[str, str]:
    """Return the variables under which Dagster keeps its storage in this home."""
    return {
        **QUIET,
        "DAGSTER_HOME": str(REPOSITORY),
        "VORONKA_DAGSTER_DIR": str(home.dagster_dir),
        "VORONKA_HOME": str(home.root),
    }


def dbt_environment(home: Home) -> dict[str, str]:
    """Return the variables under which dbt works on a home.

    Args:
        home: The home whose warehouse dbt builds in.
    """
    return {
        **QUIET,
        "VORONKA_HOME": str(home.root),
        "DBT_PROJECT_DIR": str(DBT_PROJECT_DIR),
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "DBT_TARGET_PATH": str(home.dbt_target_dir),
        "DBT_LOG_PATH": str(home.dbt_log_dir),
    }


def dbt_vars(settings: Settings) -> dict[str, str]:
    """Return the dbt variables that differ from the project's defaults.

    An unset variable is left out: dbt parses everything anew when the variables differ from those
    of the manifest it remembers.
    """
    known = settings.known_as_of_at
    variables = {
        "known_as_of_at": known.isoformat(sep=" ") if known else "",
        "reporting_currency": settings.currency or "",
        "time_zone": settings.timezone or "",
    }
    return {name: value for name, value in variables.items() if value}


def dbt_vars_arguments(settings: Settings) -> list[str]:
    """Return the dbt command line part that passes `dbt_vars`."""
    variables = dbt_vars(settings)
    return ["--vars", json.dumps(variables)] if variables else []


def dbt_executable() -> Path:
    """Return the command that runs dbt inside a home, installed beside this Python."""
    return Path(sys.executable).parent / "voronka-dbt"
