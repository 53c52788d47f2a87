"""The compose file and the image build the one pair of versions that belongs together."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.lib.metabase.versions import (
    DUCKDB_DRIVER_VERSION,
    DUCKDB_VERSION,
    METABASE_VERSION,
)

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "orchestration" / "metabase"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return document


def test_the_driver_reads_the_files_this_duckdb_writes() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    assert f"duckdb=={DUCKDB_VERSION}" in dependencies
    assert metadata.version("duckdb") == DUCKDB_VERSION


def test_the_compose_file_and_the_image_name_the_pair(compose: dict[str, Any]) -> None:
    metabase = compose["services"]["metabase"]
    assert metabase["image"] == (
        f"voronka-metabase:{METABASE_VERSION}-duckdb-{DUCKDB_DRIVER_VERSION}"
    )
    arguments = metabase["build"]["args"]
    assert arguments["METABASE_VERSION"] == METABASE_VERSION
    assert arguments["DUCKDB_DRIVER_VERSION"] == DUCKDB_DRIVER_VERSION
    defaults = dict(re.findall(r"^ARG (\w+)=(\S*)$", (FOLDER / "Dockerfile").read_text(), re.M))
    assert defaults["METABASE_VERSION"] == METABASE_VERSION
    assert defaults["DUCKDB_DRIVER_VERSION"] == DUCKDB_DRIVER_VERSION


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    images += re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(), re.M)
    assert images and all(re.search(r":[\w.-]*\d[\w.-]*$", image) for image in images)


def test_metabase_reads_the_marts_and_listens_on_loopback_only(compose: dict[str, Any]) -> None:
    metabase = compose["services"]["metabase"]
    assert [port.partition(":")[0] for port in metabase["ports"]] == ["127.0.0.1"]
    assert all(volume["read_only"] is True for volume in metabase["volumes"])
    assert "ports" not in compose["services"]["database"]
    assert metabase["environment"]["MB_LOAD_SAMPLE_CONTENT"] == "false"
    assert metabase["environment"]["MB_ANON_TRACKING_ENABLED"] == "false"
    for service in compose["services"].values():
        assert service["mem_limit"] and service["healthcheck"]["test"]


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    named = {
        name: value
        for service in compose["services"].values()
        for name, value in service["environment"].items()
        if re.search("PASS|SECRET", name)
    }
    assert named and all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in named.values())


@pytest.mark.parametrize(
    ("given", "is_accepted"), [("none", False), ("wrong", False), ("right", True)]
)
def test_the_image_is_built_of_what_was_looked_at_only(
    tmp_path: Path, given: str, is_accepted: bool
) -> None:
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", "")
    script = next(line[4:] for line in text.splitlines() if line.startswith("RUN set -eu"))
    for name in ("metabase.jar", "duckdb.metabase-driver.jar"):
        (tmp_path / name).write_text("a program")
    digest = "bbf9e54d6ebb7fbb1ac0f6d4eb2e9a7b"
    right = subprocess.run(
        ["sha256sum", tmp_path / "metabase.jar"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    value = {"none": "", "wrong": digest, "right": right}[given]
    finished = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "METABASE_SHA256": value, "DUCKDB_DRIVER_SHA256": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode == 0) is is_accepted
    assert f"METABASE_SHA256={right}" in finished.stdout
