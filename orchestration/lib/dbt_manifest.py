"""The manifest of the dbt project: parsed once after each change of the models, for all homes."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from ingest.config import Home
from orchestration.lib.environment import (
    DBT_PROJECT_DIR,
    dbt_environment,
    dbt_executable,
)
from orchestration.lib.errors import DbtProjectError
from orchestration.lib.progress import console
from orchestration.lib.serving import MARTS_SCHEMA

_PROJECT_FOLDERS = ("macros", "models", "seeds", "tests", "snapshots", "analyses")
_FINGERPRINT_FILE = "manifest.fingerprint"
# The newest parse of this project, shared by all homes.
_PARSED_DIR = DBT_PROJECT_DIR / "target" / "parsed"
_PARTIAL_PARSE = "partial_parse.msgpack"
_PARSED_FILES = (_PARTIAL_PARSE, "manifest.json")


def project_fingerprint(project_dir: Path = DBT_PROJECT_DIR) -> str:
    """Return a hash of everything dbt parses: a manifest is stale when it differs."""
    digest = hashlib.sha256(metadata.version("dbt-core").encode())
    paths = [project_dir / "dbt_project.yml", project_dir / "profiles.yml"]
    for folder in _PROJECT_FOLDERS:
        paths += sorted(path for path in (project_dir / folder).rglob("*") if path.is_file())
    for path in paths:
        if "__pycache__" in path.parts:
            continue
        digest.update(str(path.relative_to(project_dir)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def prepare_manifest(home: Home) -> Path:
    """Return the manifest's path; `dbt parse` runs when the project changed since any home's parse.

    Raises:
        DbtProjectError: The project does not parse.
    """
    # Every build writes its own manifest.json over the last one of the target folder, in place: one
    # that a kill left half written, or that a killed run's dbt still writes, would stop all runs.
    parsed = home.dbt_parsed_dir
    manifest, mark = parsed / "manifest.json", parsed / _FINGERPRINT_FILE
    for folder in (parsed, home.dbt_target_dir):
        folder.mkdir(parents=True, exist_ok=True)
    # Dagster's UI loads the definitions in several processes at once.
    with (parsed.parent / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if manifest_is_fresh(home):
            return manifest
        fingerprint = project_fingerprint()
        mark.unlink(missing_ok=True)
        if not _take_parse(fingerprint, parsed):
            with _one_parse_at_a_time():
                # Who waited here waited for another home's parse of the same models.
                if not _take_parse(fingerprint, parsed):
                    _parse(home)
                    # Models edited meanwhile belong to no fingerprint.
                    if project_fingerprint() == fingerprint:
                        _keep_parse(fingerprint, parsed)
        # What spares the builds their own parse; they write it anew, so it is a copy.
        shutil.copyfile(parsed / _PARTIAL_PARSE, home.dbt_target_dir / _PARTIAL_PARSE)
        mark.write_text(fingerprint)
    return manifest


@contextlib.contextmanager
def preparing_manifest(home: Home) -> Iterator[None]:
    """Prepare the manifest beside the block, in which Dagster and dlt are imported (5 s).

    Whoever needs the manifest asks `prepare_manifest`, which waits for the parse under way; there
    a failure is raised too.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="manifest") as pool:
        pool.submit(prepare_manifest, home)
        yield


@contextlib.contextmanager
def _one_parse_at_a_time() -> Iterator[None]:
    """Hold the lock of the project; one that cannot be written has none."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            _PARSED_DIR.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((_PARSED_DIR.parent / "parse.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parse(home: Home) -> None:
    console().line("start", "parsing the models, once after each change of them")
    finished = subprocess.run(
        [str(dbt_executable()), "--quiet", "--no-use-colors", "parse"],
        env={
            **os.environ,
            **dbt_environment(home),
            "DBT_TARGET_PATH": str(home.dbt_parsed_dir),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0 or not (home.dbt_parsed_dir / "manifest.json").exists():
        words = " ".join((finished.stdout or finished.stderr).split())
        raise DbtProjectError(f"The dbt project does not parse: {words[:600]}")


def _take_parse(fingerprint: str, parsed: Path) -> bool:
    """Copy what another home parsed; its profile is the same text, so dbt accepts it as its own."""
    kept = _PARSED_DIR / fingerprint
    try:
        for name in _PARSED_FILES:
            shutil.copyfile(kept / name, parsed / name)
    except OSError:
        return False
    return True


def _keep_parse(fingerprint: str, parsed: Path) -> None:
    """Leave the parse beside the project for other homes, whole or not at all."""
    with contextlib.suppress(OSError):
        _PARSED_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_PARSED_DIR.parent) as scratch:
            draft = Path(scratch) / fingerprint
            draft.mkdir()
            for name in _PARSED_FILES:
                shutil.copyfile(parsed / name, draft / name)
            for old in _PARSED_DIR.iterdir():
                shutil.rmtree(old, ignore_errors=True)
            draft.rename(_PARSED_DIR / fingerprint)


def manifest_is_fresh(home: Home) -> bool:
    """Return whether the manifest of this home is of the present project."""
    mark = home.dbt_parsed_dir / _FINGERPRINT_FILE
    return (
        (home.dbt_parsed_dir / "manifest.json").exists()
        and mark.exists()
        and mark.read_text() == project_fingerprint()
    )


def read_manifest(home: Home) -> dict[str, Any]:
    """Return the parsed manifest of this home."""
    manifest: dict[str, Any] = json.loads(prepare_manifest(home).read_bytes())
    return manifest


def expected_marts(manifest: Mapping[str, Any]) -> list[str]:
    """Return the tables of the marts schema that the project declares."""
    return sorted(
        node.get("alias") or node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"}
        and node["schema"] == MARTS_SCHEMA
        and node["config"].get("enabled", True)
    )
