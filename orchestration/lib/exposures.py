"""Dashboards as dbt knows them: who reads which marts (`models/exposures.yml`).

The file stands in git for readers of the models; what must stand in it follows from the dashboard
files, so a check says which lines to write when the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestration.lib.cards import DashboardFile
from orchestration.lib.cards.contracts import exposed_tables
from orchestration.lib.environment import DBT_PROJECT_DIR

EXPOSURES = DBT_PROJECT_DIR / "models" / "exposures.yml"
# Where the compose file of the project serves Metabase; dbt only shows it as a link.
_METABASE = "http://127.0.0.1:3000"
_HEAD = """\
# One exposure per file of orchestration/dashboards: its name, words and owner come from there, and
# depends_on names the marts its cards read. A test compares the two and prints the lines to write.
version: 2

exposures:
"""


def exposure(file: DashboardFile) -> dict[str, Any]:
    """Return the exposure of a dashboard, as dbt takes it.

    Args:
        file: The dashboard.

    Returns:
        Name, label, type, maturity, url, description, depends_on, owner.
    """
    dashboard = file.dashboard
    owner = {"name": dashboard.owner.name.en}
    if dashboard.owner.email:
        owner["email"] = dashboard.owner.email
    return {
        "name": dashboard.exposure,
        "label": dashboard.title.en,
        "type": "dashboard",
        "maturity": dashboard.maturity,
        "url": _METABASE,
        "description": " ".join(f"{dashboard.description.en} {dashboard.methodology.en}".split()),
        "depends_on": [f"ref('{table}')" for table in exposed_tables(file)],
        "owner": owner,
    }


def exposures_text(files: Sequence[DashboardFile]) -> str:
    """Return the whole text of the exposures file."""
    return _HEAD + "\n".join(_written(exposure(file)) for file in files)


def exposure_findings(files: Sequence[DashboardFile], path: Path = EXPOSURES) -> list[str]:
    """Return where the exposures differ from the dashboards, with the lines to write.

    Args:
        files: The dashboards.
        path: The exposures file.

    Returns:
        One finding per exposure, empty when all is well.
    """
    given = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = {one["name"]: one for one in (given or {}).get("exposures") or []}
    findings = []
    for file in files:
        wanted = exposure(file)
        if found.pop(wanted["name"], None) != wanted:
            where = f"{path.name}: {wanted['name']}"
            findings.append(f"{where}: write for {file.path.name}:\n{_written(wanted)}")
    findings += [f"{path.name}: {name}: no dashboard has this exposure" for name in found]
    return findings


def _written(wanted: dict[str, Any]) -> str:
    text = yaml.safe_dump([wanted], allow_unicode=True, sort_keys=False, width=100, indent=2)
    return "".join(f"  {line}\n" for line in text.splitlines())
