"""What a failed dbt build has to say to a person: which test, what it proves, which rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

SHOWN_ROWS = 5
_SHOWN_COLUMNS = 8
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class DbtFinding:
    """One node that failed, or one test that returned rows."""

    name: str
    kind: str
    severity: str
    description: str
    message: str
    failure_count: int | None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def lines(self) -> list[str]:
        """Return the finding as lines for a terminal."""
        if self.kind != "test" or self.failure_count is None:
            return [f"{self.kind} {self.name} failed: {self.message}"]
        head = f"test {self.name} failed, rows: {self.failure_count}"
        lines = [f"{head}. {self.description}" if self.description else head]
        if self.columns:
            lines.append("    " + " | ".join(self.columns[:_SHOWN_COLUMNS]))
        lines += [
            "    " + " | ".join(_shown(value) for value in row[:_SHOWN_COLUMNS])
            for row in self.rows
        ]
        return lines


def dbt_findings(
    target_dir: Path, warehouse: Path, serve_file: Path, *, statuses: Sequence[str]
) -> list[DbtFinding]:
    """Return what failed in the last build, with up to five rows of each failed test.

    Args:
        target_dir: dbt's target folder of that build.
        warehouse: The warehouse; nobody may be writing it.
        serve_file: The file the marts were built in.
        statuses: Which results to return, such as error and fail, or warn.
    """
    results_file, manifest_file = target_dir / "run_results.json", target_dir / "manifest.json"
    if not results_file.exists() or not manifest_file.exists():
        return []
    results = json.loads(results_file.read_bytes())["results"]
    nodes = json.loads(manifest_file.read_bytes())["nodes"]
    findings = []
    for result in results:
        if result["status"] not in statuses:
            continue
        node = nodes.get(result["unique_id"])
        if node is None:
            continue
        columns: tuple[str, ...] = ()
        rows: tuple[tuple[Any, ...], ...] = ()
        is_test = node["resource_type"] == "test"
        query = result.get("compiled_code")
        if is_test and query and result["status"] == "fail":
            columns, rows = failing_rows(query, warehouse, serve_file)
        findings.append(
            DbtFinding(
                name=_name(node),
                kind=node["resource_type"],
                severity=str(node["config"].get("severity", "error")).lower(),
                description=_description(node),
                message=" ".join(str(result.get("message") or "").split()),
                failure_count=result.get("failures") if is_test else None,
                columns=columns,
                rows=rows,
            )
        )
    return findings


def failing_rows(
    query: str, warehouse: Path, serve_file: Path
) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """Return the columns and the first rows a test's compiled query returns."""
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            if serve_file.exists():
                connection.execute(f"attach '{serve_file}' as serve (read_only)")
            found = connection.execute(f"select * from ({query.rstrip('; ')}\n) limit {SHOWN_ROWS}")
            columns = tuple(str(column[0]) for column in found.description or [])
            return columns, tuple(found.fetchall())
    except duckdb.Error:
        # The name and the count of the test matter more than its rows.
        return (), ()


def _name(node: Mapping[str, Any]) -> str:
    """Return the name a person can read: dbt names a generic test by all its arguments."""
    kind = (node.get("test_metadata") or {}).get("name")
    model = str(node.get("attached_node") or "").rpartition(".")[2]
    if kind and model:
        column = node.get("column_name")
        return f"{kind} of {model}.{column}" if column else f"{kind} of {model}"
    return str(node["name"])


def _description(node: Mapping[str, Any]) -> str:
    own = " ".join(str(node.get("description") or "").split())
    if own:
        return own
    # A singular test states what it proves in its first comment line.
    first_line = str(node.get("raw_code") or "").strip().splitlines()[:1]
    if first_line and first_line[0].startswith("--"):
        return first_line[0].lstrip("- ").strip()
    return ""


def _shown(value: Any) -> str:
    text = "null" if value is None else " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
