"""The dbt project as one set of Dagster assets, its tests as asset checks."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import Any

from dagster import AssetKey
from packaging.version import Version

from ingest.config import Home
from orchestration.lib.dagster_dbt_alone import DagsterDbtTranslator, DbtCliResource, DbtProject
from orchestration.lib.dbt_manifest import expected_marts, prepare_manifest
from orchestration.lib.environment import DBT_PROJECT_DIR, dbt_executable
from orchestration.lib.serving import MARTS_SCHEMA


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
    """Return the project with its parse in the home; parse it first if it changed."""
    prepare_manifest(home)
    return DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=home.dbt_parsed_dir,
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


def mart_keys(project: DbtProject) -> list[AssetKey]:
    """Return the asset keys of the tables of the marts schema."""
    manifest = json.loads(project.manifest_path.read_bytes())
    return [AssetKey([MARTS_SCHEMA, name]) for name in expected_marts(manifest)]
