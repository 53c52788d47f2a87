"""What must hold after a publish was killed, wherever it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestration.lib.postgres_serving import PostgresServing
from tests.postgres.cluster import Database
from tests.postgres.readers import NOTHING_SAID, QUESTION, ROWS, write_build


def schemas(database: Database) -> set[str]:
    """Return the schemas of builds, whole or not."""
    with database.connect() as connection:
        rows = connection.execute("select nspname from pg_namespace where nspname like 'marts%'")
        return {str(name) for (name,) in rows.fetchall()}


def number_shown(database: Database) -> int:
    """Return the number of the build readers see, all tables of one build."""
    with database.as_reader().connect() as connection:
        row = connection.execute(QUESTION.format("marts.", "marts.")).fetchone()
    assert row is not None and row[0] == row[1] == row[2] == row[3] and row[4] == ROWS
    return int(row[0])


def publish(serving: PostgresServing, folder: Path, number: int) -> None:
    """Publish build `number` as a refresh does, keeping the one before."""
    file = write_build(folder / f"{number}.duckdb", number)
    serving.load(file, f"run-{number}", NOTHING_SAID)
    serving.switch(f"run-{number}")
    assert serving.tidy([f"run-{number - 1}"]) == []


def kill_and_look(
    serving: PostgresServing,
    database: Database,
    environment: Mapping[str, str],
    folder: Path,
    number: int,
    moment: str,
) -> bool:
    """Kill a publish of build 2 over build 1 and prove that nothing is half; say if it was killed.

    Args:
        serving: The target; build 1 is served.
        database: Its database.
        environment: Settings and secrets of the home.
        folder: For files.
        number: The word to the server at which the publish dies.
        moment: before or after.
    """
    file = folder / "2.duckdb"
    if not file.exists():
        write_build(file, 2)
    command = [sys.executable, "-m", "tests.postgres.dying", str(number), moment, str(file)]
    finished = subprocess.run(
        [*command, "run-2"],
        env={**os.environ, **environment},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    was_killed = finished.returncode < 0
    assert was_killed or "done after" in finished.stdout, finished.stderr
    shown = number_shown(database)
    assert shown in {1, 2}
    builds = serving.builds()
    # The server needs a moment to see that the sender is gone; its transaction is invisible anyway.
    assert {build.schema for build in builds} == schemas(database)
    for build in builds:
        with database.connect() as connection:
            counted = connection.execute(
                f'select count(*), min(number) from "{build.schema}".deals'
            ).fetchone()
        assert counted == (ROWS, int(build.run_id.removeprefix("run-")))
    # The next refresh goes on: it shows what the home serves and removes the rest.
    if shown == 1:
        serving.repair("run-1")
        serving.tidy([])
        assert schemas(database) == {"marts"}
    else:
        serving.load(
            write_build(folder / f"again-{number}-{moment}.duckdb", 1), "run-1", NOTHING_SAID
        )
        serving.switch("run-1")
        serving.tidy([])
    assert number_shown(database) == 1 and schemas(database) == {"marts"}
    return was_killed
