"""A publish that is killed at its n-th word to the server, before or after the server heard it.

    python -m tests.postgres.dying NUMBER before|after FILE RUN_ID

The settings come from the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psycopg

from ingest.config import load_settings
from orchestration.lib.postgres_connection import target_of
from orchestration.lib.postgres_serving import PostgresServing
from tests.postgres.readers import NOTHING_SAID


def main(number: int, moment: str, file: Path, run_id: str) -> None:
    """Publish, and die on the way; print done where there were fewer words than asked for."""
    serving = PostgresServing(target_of(load_settings()))
    said = 0

    def dying(word: Any) -> Any:
        def speak(*arguments: Any, **options: Any) -> Any:
            nonlocal said
            said += 1
            if said == number and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = word(*arguments, **options)
            if said == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return speak

    # Statements, commits and rows: everything the server hears of a publish.
    psycopg.Connection.execute = dying(psycopg.Connection.execute)  # type: ignore[method-assign]
    psycopg.Transaction.__exit__ = dying(psycopg.Transaction.__exit__)  # type: ignore[method-assign]
    psycopg.Copy.write = dying(psycopg.Copy.write)  # type: ignore[method-assign]
    serving.load(file, run_id, NOTHING_SAID)
    serving.switch(run_id)
    serving.tidy([])
    print(f"done after {said}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
