"""dbt by hand sees the home as a refresh does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load_settings
from orchestration.lib import dbt_command


class Finished:
    """A dbt that does nothing and is done at once."""

    pid = os.getpid()

    def wait(self) -> int:
        return 0

    def poll(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [
        (["build"], True),
        (["--quiet", "build", "--select", "dim_deals"], True),
        (["--log-level", "none", "show", "--select", "dim_deals"], True),
        (["run", "--vars", "{}"], False),
        (["deps"], False),
    ],
)
def test_the_homes_variables_reach_every_command_that_takes_them(
    arguments: list[str], passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def started(command: list[str], **_: Any) -> Finished:
        commands.append(command)
        return Finished()

    monkeypatch.setattr(dbt_command.subprocess, "Popen", started)
    monkeypatch.setattr(dbt_command, "ensure_raw_tables", lambda _home: None)
    for name in ("remember_child", "forget_child"):
        monkeypatch.setattr(dbt_command, name, lambda *_: None)
    settings = load_settings(
        {"VORONKA_HOME": str(tmp_path), "VORONKA_KNOWN_AS_OF_AT": "2026-01-31T21:00:00"}
    )
    assert dbt_command.run_dbt(settings, arguments) == 0
    given = commands[0][1:]
    assert given[: len(arguments)] == arguments
    added = given[len(arguments) :]
    assert (added != []) == passes
    if passes:
        assert added[0] == "--vars"
        assert json.loads(added[1])["known_as_of_at"] == "2026-01-31 21:00:00"
