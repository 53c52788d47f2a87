"""The product as its user meets it: commands in a process of their own, and the published file."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import duckdb

COMMAND = Path(sys.executable).with_name("voronka")
# Settings of the person who runs the tests must not leak into a test's company.
PRIVATE_PREFIXES = ("VORONKA_", "SOURCES__", "DLT_", "DBT_", "DAGSTER_")


@dataclass
class Product:
    """One company: a home folder and the settings its commands run with."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the machine's environment, less anybody's settings, plus this company's."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PRIVATE_PREFIXES)}
        return kept | {"VORONKA_HOME": str(self.home), "PYTHONUTF8": "1"} | self.settings | extra

    def start(
        self, *arguments: str, output: IO[str] | None = None, **extra: str
    ) -> subprocess.Popen[str]:
        """Start a command and return it running, both outputs joined in a pipe or a file."""
        return subprocess.Popen(
            [str(COMMAND), *arguments],
            env=self.environment(**extra),
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int | None = 0, timeout: float = 300, **extra: str) -> str:
        """Run a command to its end and return what it printed; `code` None accepts any failure."""
        process = self.start(*arguments, **extra)
        output, _ = process.communicate(timeout=timeout)
        if code is None:
            assert process.returncode != 0, f"expected a failure:\n{output}"
        else:
            assert process.returncode == code, f"exit code {process.returncode}:\n{output}"
        return output

    @property
    def published(self) -> Path:
        """Return the path analysts read."""
        return self.home / "serve" / "voronka.duckdb"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the published file."""
        with duckdb.connect(str(self.published), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def fingerprints(self) -> dict[str, tuple[int, int]]:
        """Return, per published table, its row count and a hash of all rows in any order."""
        tables = [
            name
            for (name,) in self.query(
                "select table_name from information_schema.tables "
                "where table_schema = 'marts' order by 1"
            )
        ]
        assert tables, "nothing is published"
        found = {}
        for name in tables:
            ((count, total),) = self.query(
                f'select count(*), coalesce(sum(hash(t)::hugeint), 0) from marts."{name}" as t'
            )
            found[name] = (int(count), int(total))
        return found
