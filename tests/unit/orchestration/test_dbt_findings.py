import json

import duckdb

from orchestration.lib.build import failure_text
from orchestration.lib.dbt_findings import dbt_findings


def write_target(folder, node, result):
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"nodes": {node["unique_id"]: node}}))
    (folder / "run_results.json").write_text(
        json.dumps({"results": [{"unique_id": node["unique_id"], **result}]})
    )


def test_failed_test_shows_its_statement_and_five_rows(tmp_path):
    warehouse, serve_file = tmp_path / "warehouse.duckdb", tmp_path / "build.duckdb"
    duckdb.connect(str(warehouse)).close()
    with duckdb.connect(str(serve_file)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.dim_deals as select range as deal_key from range(9)")
    write_target(
        tmp_path / "target",
        {
            "unique_id": "test.voronka.assert_each_deal_has_a_stage",
            "name": "assert_each_deal_has_a_stage",
            "resource_type": "test",
            "config": {"severity": "ERROR"},
            "raw_code": "-- A returned row is a deal without a stage.\nselect 1",
        },
        {
            "status": "fail",
            "failures": 9,
            "message": "Got 9 results",
            "compiled_code": "-- why\nselect deal_key from serve.marts.dim_deals order by 1",
        },
    )
    findings = dbt_findings(tmp_path / "target", warehouse, serve_file, statuses=["fail"])
    assert failure_text(findings).splitlines() == [
        "test assert_each_deal_has_a_stage failed, rows: 9. "
        "A returned row is a deal without a stage.",
        "    deal_key",
        *(f"    {number}" for number in range(5)),
        "Nothing was published; yesterday's file keeps serving.",
    ]


def test_broken_model_shows_the_database_s_words(tmp_path):
    write_target(
        tmp_path / "target",
        {
            "unique_id": "model.voronka.dim_deals",
            "name": "dim_deals",
            "resource_type": "model",
            "config": {},
            "raw_code": "select 1",
        },
        {"status": "error", "failures": None, "message": "Binder Error:\n  no column x"},
    )
    findings = dbt_findings(
        tmp_path / "target", tmp_path / "none", tmp_path / "none", statuses=["error"]
    )
    assert findings[0].lines() == ["model dim_deals failed: Binder Error: no column x"]


def test_missing_results_are_no_findings(tmp_path):
    assert dbt_findings(tmp_path, tmp_path / "w", tmp_path / "s", statuses=["fail"]) == []
