"""Cards against the contracts of the marts: a mistake shows before any run has built a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import yaml

from orchestration.lib.cards.published import check_against
from orchestration.lib.cards.schema import (
    DashboardFile,
)
from orchestration.lib.cards.sql import tables_read
from orchestration.lib.serving import MARTS_SCHEMA

# Table, then column, to its type.
Contracts = Mapping[str, Mapping[str, str]]


def contract_types(manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the columns of every mart with their types, as the dbt manifest states them."""
    return {
        node["name"]: {
            name: column["data_type"]
            for name, column in node["columns"].items()
            if column.get("data_type")
        }
        for node in marts(manifest)
    }


def marts(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the nodes of the manifest that are published, by name."""
    found = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"}
        and node["schema"] == MARTS_SCHEMA
        and node["config"].get("enabled", True)
    ]
    return sorted(found, key=lambda node: str(node["name"]))


def contract_types_in(models: Path) -> dict[str, dict[str, str]]:
    """Return the columns of every mart with their types, as the files under `models` state them.

    Args:
        models: The folder of the marts' models, with their `.yml` files.

    Returns:
        Table to column to type; no dbt is needed for it.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(models.rglob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for model in content.get("models", []):
            types = {
                column["name"]: column["data_type"]
                for column in model.get("columns", [])
                if "data_type" in column
            }
            if types:
                found[model["name"]] = types
    return found


def check_contracts(files: Iterable[DashboardFile], contracts: Contracts) -> list[str]:
    """Return what cards ask for that the contracts of the marts do not promise.

    Args:
        files: The dashboards.
        contracts: Table to column to type.

    Returns:
        One finding per line, empty when all is well.
    """
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        connection.execute(f"create schema {MARTS_SCHEMA}")
        for table, types in contracts.items():
            columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
            connection.execute(f'create table {MARTS_SCHEMA}."{table}" ({columns})')
        return [said for file in files for said in check_against(file, connection)]
    finally:
        connection.close()


def exposed_tables(file: DashboardFile) -> list[str]:
    """Return the marts that the cards of a dashboard read, by name."""
    return sorted({table for card in file.dashboard.cards() for table in tables_read(card)})
