"""Simulated companies for the benchmark: a home each, run through the pipeline, then looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingest.config import Home, load_settings
from orchestration.lib.benchmark.world import attach_truth, truth_folder
from orchestration.lib.demo import DemoParameters, settle_demo
from orchestration.lib.errors import BenchmarkError

Tell = Callable[[str], None]

# A person's own settings must not reach a simulated company.
_PRIVATE_PREFIXES = ("VORONKA_", "SOURCES__", "DLT_", "DBT_", "DAGSTER_")
_KEPT_LINES = 15


@contextmanager
def simulated_home(wanted: DemoParameters, tell: Tell) -> Iterator[Home]:
    """Run the pipeline on a simulated company in a temporary home; the home goes with the block.

    Args:
        wanted: The company.
        tell: Receives each line of progress.

    Raises:
        BenchmarkError: The refresh failed; the message holds its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="voronka-benchmark-") as folder:
        home = load_settings({"VORONKA_HOME": folder}).home
        settle_demo(home, wanted)
        _refresh(home, tell)
        yield home


def _refresh(home: Home, tell: Tell) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE_PREFIXES)}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "refresh"],
        env={**kept, "VORONKA_HOME": str(home.root), "PYTHONUTF8": "1"},
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line.rstrip())
            tell(said[-1])
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        last = "\n".join(said[-_KEPT_LINES:])
        raise BenchmarkError(f"the refresh of a simulated company ended with code {code}:\n{last}")


@contextmanager
def opened(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Show a company as measures see it: schemas `marts`, `staging`, `raw_<source>` and `truth`.

    Args:
        home: The home of a demo company that has been published.

    Raises:
        BenchmarkError: Nothing is published, there is no truth, or a refresh holds the warehouse.
    """
    if not home.serve_current.exists():
        raise BenchmarkError(
            f"nothing is published in {home.root}; run `voronka demo` in it, or leave out --home."
        )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        try:
            # Views of the warehouse name it by its file's name.
            connection.execute(f"attach '{home.warehouse}' as warehouse (read_only)")
            connection.execute(f"attach '{home.serve_current}' as serve (read_only)")
        except duckdb.Error as error:
            line = str(error).strip().splitlines()[0]
            raise BenchmarkError(
                f"{home.root} cannot be read while a refresh is running ({line})."
            ) from None
        for catalog, schema, table in connection.execute(
            "select table_catalog, table_schema, table_name from information_schema.tables"
            " where (table_catalog = 'serve' and table_schema = 'marts')"
            " or (table_catalog = 'warehouse'"
            " and (table_schema = 'staging' or starts_with(table_schema, 'raw_')))"
        ).fetchall():
            connection.execute(f'create schema if not exists "{schema}"')
            connection.execute(
                f'create view "{schema}"."{table}" as select * from {catalog}."{schema}"."{table}"'
            )
        attach_truth(connection, truth_folder(home))
        yield connection
