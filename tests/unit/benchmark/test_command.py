from pathlib import Path

import pytest

from ingest.config import Home
from orchestration.lib.benchmark import companies
from orchestration.lib.benchmark.companies import opened, simulated_home
from orchestration.lib.demo import DemoParameters
from orchestration.lib.errors import BenchmarkError

SMALL = DemoParameters(seed=1, months=3, leads=100)


def test_a_home_without_a_published_file_is_refused(tmp_path):
    with (
        pytest.raises(BenchmarkError, match="nothing is published in"),
        opened(Home(tmp_path)),
    ):
        raise AssertionError("opened")


def command_that(monkeypatch, tmp_path, script):
    """Let a script stand in for the command that refreshes a home."""
    monkeypatch.setenv("SOURCES__AMOCRM__TOKEN", "a person's own")
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setattr(companies.sys, "executable", str(stand_in))


def test_a_company_is_refreshed_in_a_home_of_its_own_that_goes(tmp_path, monkeypatch):
    command_that(
        monkeypatch, tmp_path, 'echo "[load] in $VORONKA_HOME with ${SOURCES__AMOCRM__TOKEN:-none}"'
    )
    said: list[str] = []
    with simulated_home(SMALL, said.append) as home:
        assert said == [f"[load] in {home.root} with none"]
        assert home.demo_marker.exists()
        root = Path(home.root)
    assert not root.exists()


def test_a_refresh_that_fails_ends_the_benchmark_with_its_last_lines(tmp_path, monkeypatch):
    command_that(monkeypatch, tmp_path, 'echo "the disk is full"; exit 6')
    said: list[str] = []
    with (
        pytest.raises(BenchmarkError, match=r"ended with code 6:\nthe disk is full"),
        simulated_home(SMALL, said.append),
    ):
        raise AssertionError("went on")
