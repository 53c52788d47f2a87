"""The dbt project as one set of Dagster assets, its tests as asset checks."""

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from dagster import AssetKey
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject
from packaging.version import Version

from ingest.config import Home
from orchestration.lib.environment import (
    DBT_PROJECT_DIR,
    applied,
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
_PARSED_FILES = ("partial_parse.msgpack", "manifest.json")


class VoronkaDbt(DbtCliResource):
    """dagster-dbt's command resource without its two costly preparations.

    Before every call it starts `dbt --version` and opens a second dbt adapter inside our process,
    3 s together; the version is pinned and nothing here asks the adapter.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


class ModelTranslator(DagsterDbtTranslator):
    """Names assets [schema, name] and groups them by the folder they live in."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Return [schema, name]; for a source that is the key of the dlt asset it reads."""
        name = dbt_resource_props.get("alias") or dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source":
            name = dbt_resource_props.get("identifier") or dbt_resource_props["name"]
        return AssetKey([dbt_resource_props["schema"], name])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return layer and area, such as `marts_sales`."""
        if dbt_resource_props["resource_type"] == "source":
            return str(dbt_resource_props["schema"])
        folders = [part for part in dbt_resource_props["fqn"][1:-1] if part.isidentifier()]
        return "_".join(folders) or str(dbt_resource_props["resource_type"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str] | None:
        """Return the model's own owner, else the team that keeps the project."""
        return list(super().get_owners(dbt_resource_props) or []) or ["team:data"]


def dbt_project(home: Home) -> DbtProject:
    """Return the project with its target folder in the home; parse it first if it changed."""
    prepare_manifest(home)
    return DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=home.dbt_target_dir,
        profiles_dir=DBT_PROJECT_DIR,
    )


def dbt_command(project: DbtProject) -> VoronkaDbt:
    """Return the resource that runs dbt on the project."""
    return VoronkaDbt(
        project_dir=str(project.project_dir),
        profiles_dir=str(project.profiles_dir),
        # Every event once more, as JSON at debug level: a tenth of dbt's time, read by nobody.
        global_config_flags=["--log-level-file", "none"],
        dbt_executable=str(dbt_executable()),
    )


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
    target = home.dbt_target_dir
    manifest, mark = target / "manifest.json", target / _FINGERPRINT_FILE
    target.mkdir(parents=True, exist_ok=True)
    # Dagster's UI loads the definitions in several processes at once.
    with (target.parent / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if manifest_is_fresh(home):
            return manifest
        fingerprint = project_fingerprint()
        mark.unlink(missing_ok=True)
        if not _take_parse(fingerprint, target):
            _parse(home)
            # Models edited meanwhile belong to no fingerprint.
            if project_fingerprint() == fingerprint:
                _keep_parse(fingerprint, target)
        mark.write_text(fingerprint)
    return manifest


def _parse(home: Home) -> None:
    console().line("start", "parsing the models, once after each change of them")
    with applied(dbt_environment(home)):
        finished = subprocess.run(
            [str(dbt_executable()), "--quiet", "--no-use-colors", "parse"],
            capture_output=True,
            text=True,
            check=False,
        )
    if finished.returncode != 0 or not (home.dbt_target_dir / "manifest.json").exists():
        words = " ".join((finished.stdout or finished.stderr).split())
        raise DbtProjectError(f"The dbt project does not parse: {words[:600]}")


def _take_parse(fingerprint: str, target: Path) -> bool:
    """Copy what another home parsed; its profile is the same text, so dbt accepts it as its own."""
    kept = _PARSED_DIR / fingerprint
    try:
        for name in _PARSED_FILES:
            shutil.copyfile(kept / name, target / name)
    except OSError:
        return False
    return True


def _keep_parse(fingerprint: str, target: Path) -> None:
    """Leave the parse beside the project for other homes, whole or not at all."""
    with contextlib.suppress(OSError):
        _PARSED_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_PARSED_DIR.parent) as scratch:
            draft = Path(scratch) / fingerprint
            draft.mkdir()
            for name in _PARSED_FILES:
                shutil.copyfile(target / name, draft / name)
            for old in _PARSED_DIR.iterdir():
                shutil.rmtree(old, ignore_errors=True)
            draft.rename(_PARSED_DIR / fingerprint)


def manifest_is_fresh(home: Home) -> bool:
    """Return whether the manifest of this home is of the present project."""
    mark = home.dbt_target_dir / _FINGERPRINT_FILE
    return (
        (home.dbt_target_dir / "manifest.json").exists()
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


def mart_keys(project: DbtProject) -> list[AssetKey]:
    """Return the asset keys of the tables of the marts schema."""
    manifest = json.loads(project.manifest_path.read_bytes())
    return [AssetKey([MARTS_SCHEMA, name]) for name in expected_marts(manifest)]
