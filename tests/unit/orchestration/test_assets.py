import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from dagster import AssetKey, Definitions

from ingest.config import Home
from ingest.sources import SOURCES
from ingest.warehouse import RAW_TABLES
from orchestration.defs.load import raw_assets
from orchestration.defs.resources import RefreshRun
from orchestration.defs.serve import owner_page, published_marts
from orchestration.defs.transform import model_assets
from orchestration.lib import dbt_manifest
from orchestration.lib.dbt_assets import (
    ModelTranslator,
    dbt_command,
    dbt_project,
    mart_keys,
)
from orchestration.lib.dbt_manifest import expected_marts, prepare_manifest, read_manifest
from orchestration.lib.dlt_assets import raw_table_specs
from orchestration.lib.environment import REPOSITORY


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return dbt_project(Home(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def manifest(project):
    return json.loads(project.manifest_path.read_bytes())


@pytest.fixture(scope="module")
def graph(project):
    definitions = Definitions(
        assets=[
            *raw_assets(),
            model_assets(project),
            published_marts(mart_keys(project)),
            owner_page(),
        ],
        resources={"refresh_run": RefreshRun(), "dbt": dbt_command(project)},
    )
    return definitions.resolve_asset_graph()


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_raw_assets_are_keyed_as_the_tables_they_become(source):
    specs = raw_table_specs(source)
    assert {spec.key for spec in specs} == {
        AssetKey([f"raw_{source.name}", table])
        for table in (*RAW_TABLES[source.name], "_dlt_loads")
    }
    assert all(not list(spec.deps) for spec in specs)
    assert all(
        spec.group_name and spec.owners and spec.kinds and spec.description for spec in specs
    )


@pytest.mark.parametrize(
    ("properties", "key"),
    [
        (
            {"resource_type": "source", "schema": "raw_amocrm", "name": "leads"},
            ["raw_amocrm", "leads"],
        ),
        (
            {"resource_type": "source", "schema": "raw_a", "name": "x", "identifier": "_pulls"},
            ["raw_a", "_pulls"],
        ),
        (
            {"resource_type": "model", "schema": "marts", "name": "dim_deals"},
            ["marts", "dim_deals"],
        ),
        (
            {"resource_type": "seed", "schema": "marts", "name": "s", "alias": "dim_metrics"},
            ["marts", "dim_metrics"],
        ),
    ],
)
def test_models_and_sources_are_keyed_by_schema_and_name(properties, key):
    assert ModelTranslator().get_asset_key(properties) == AssetKey(key)


def test_every_source_a_model_reads_is_loaded_by_an_asset(manifest, graph):
    read = {
        AssetKey([source["schema"], source["identifier"]])
        for unique_id, source in manifest["sources"].items()
        if manifest["child_map"][unique_id]
    }
    assert read
    unloaded = read - set(graph.materializable_asset_keys)
    assert not unloaded


def test_every_report_reaches_a_raw_table(graph):
    reports = [key for key in graph.get_all_asset_keys() if key.path[-1].startswith("rpt_")]
    assert reports
    cut_off = [
        key.to_user_string()
        for key in reports
        if not any(up.path[0].startswith("raw_") for up in graph.get_ancestor_asset_keys(key))
    ]
    assert cut_off == []


def test_nothing_in_the_graph_is_made_by_nobody(graph):
    assert set(graph.get_all_asset_keys()) == set(graph.materializable_asset_keys)


def test_page_hangs_on_the_published_file_and_that_on_every_mart(manifest, graph):
    published = AssetKey("published_marts")
    assert graph.get(AssetKey("owner_page")).parent_keys == {published}
    assert graph.get(published).parent_keys == {
        AssetKey(["marts", name]) for name in expected_marts(manifest)
    }


def test_data_tests_are_checks_of_their_models(manifest, graph):
    generic = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node.get("attached_node")
    ]
    assert generic
    # One check per source says that its pulls stored what they counted.
    assert len(graph.asset_check_keys) >= len(generic) + len(SOURCES)


def test_unchanged_project_is_not_parsed_again(project):
    home = Home(project.target_path.parents[1])
    before = project.manifest_path.stat().st_mtime_ns
    assert prepare_manifest(home).stat().st_mtime_ns == before


def test_a_manifest_that_a_killed_build_left_half_written_stops_no_run(project):
    home = Home(project.target_path.parents[1])
    (home.dbt_target_dir / "manifest.json").write_text('{"nodes": {"model')
    assert expected_marts(read_manifest(home))
    assert mart_keys(dbt_project(home))


NAMES_OF_DBT = """
import sys
import orchestration.lib.dbt_assets
print([name for name in sys.modules if name.partition(".")[0] in ("dbt", "dbt_common")])
"""
DBT_IMPORTED_BEFORE = """
import sys
import dbt.version as before
import orchestration.lib.dbt_assets
import dbt.version as after
assert after is before is sys.modules["dbt.version"]
"""


def said(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout.strip()


def test_dbt_stays_out_of_our_process():
    assert said(NAMES_OF_DBT) == "[]"


def test_who_imported_dbt_keeps_it():
    assert said(DBT_IMPORTED_BEFORE) == ""


def test_two_homes_parse_changed_models_once(tmp_path, monkeypatch):
    parsed = []

    def parse(home):
        parsed.append(home.root.name)
        time.sleep(0.3)
        for name in dbt_manifest._PARSED_FILES:
            (home.dbt_parsed_dir / name).write_text(home.root.name)

    monkeypatch.setattr(dbt_manifest, "_PARSED_DIR", tmp_path / "target" / "parsed")
    monkeypatch.setattr(dbt_manifest, "_parse", parse)
    with ThreadPoolExecutor(2) as pool:
        manifests = list(
            pool.map(prepare_manifest, [Home(tmp_path / "one"), Home(tmp_path / "two")])
        )
    assert len(parsed) == 1
    assert {manifest.read_text() for manifest in manifests} == set(parsed)
