"""The company's own tables: checked line by line, templates, snapshots."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import LoadSummary
from ingest.config import SourceRef, load_settings
from ingest.errors import InputDataError
from ingest.loading import load_source
from ingest.sources.company import COMPANY_TABLES, check_tables, write_templates
from ingest.sources.company.reader import read_table
from ingest.tabular import Findings

ROOT = Path(__file__).resolve().parents[3]
SOURCE_README = ROOT / "ingest/sources/company/README.md"
METRICS = ROOT / "dbt_project/seeds/metric_definitions.csv"


def errors_of(folder: Path) -> list[str]:
    with pytest.raises(InputDataError) as caught:
        check_tables(folder)
    return [str(finding) for finding in caught.value.findings]


def write(folder: Path, table: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{table}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_missing_folder_means_all_defaults(tmp_path: Path) -> None:
    assert check_tables(tmp_path / "company") == {}


def test_templates_are_valid_and_change_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "company"
    assert len(write_templates(folder)) == len(COMPANY_TABLES)
    assert set(check_tables(folder).values()) == {0}


def test_templates_never_overwrite(tmp_path: Path) -> None:
    write(tmp_path, "segments", "segment", "small")
    assert tmp_path / "segments.csv" not in write_templates(tmp_path)
    assert check_tables(tmp_path)["segments"] == 1


@pytest.mark.parametrize("name", list(COMPANY_TABLES))
def test_examples_of_the_template_are_valid_rows(tmp_path: Path, name: str) -> None:
    table = COMPANY_TABLES[name]
    write(tmp_path, name, ",".join(table.columns), *table.examples)
    assert check_tables(tmp_path)[name] == len(table.examples)


@pytest.mark.parametrize("name", ["sales_plans", "hypotheses"])
def test_examples_name_metrics_that_exist(name: str) -> None:
    with METRICS.open(encoding="utf-8", newline="") as file:
        known = {row["metric_id"] for row in csv.DictReader(file)}
    table = COMPANY_TABLES[name]
    place = list(table.columns).index("metric_id")
    assert {next(csv.reader([example]))[place] for example in table.examples} <= known
    assert set(table.columns["metric_id"].allowed) <= known


def test_plan_of_a_metric_that_the_panel_does_not_show_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path,
        "sales_plans",
        "period_type,period_start_date,metric_id,plan_value",
        "month,2026-11-01,sold,3000000",
        "month,2026-11-01,sold_amount,3000000",
    )
    assert errors_of(tmp_path) == [
        f"{tmp_path.name}/sales_plans.csv:3 [metric_id]: not one of came, bought, sold, paid,"
        " acquisition_cost, earned (value 'sold_amount')"
    ]


def test_plan_of_a_period_that_the_panel_does_not_show_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path,
        "sales_plans",
        "period_type,period_start_date,metric_id,plan_value",
        "week,2026-11-02,came,80",
        "week,2026-11-01,came,80",
        "month,2026-11-15,sold,3000000",
        "quarter,2026-10-01,sold,9000000",
        "year,2026-01-01,sold,36000000",
    )
    name = f"{tmp_path.name}/sales_plans.csv"
    assert errors_of(tmp_path) == [
        f"{name}:5 [period_type]: not one of week, month (2 rows) (value 'quarter')",
        f"{name}:6 [period_type]: not one of week, month (2 rows) (value 'year')",
        f"{name}:3 [period_start_date]: not the first day of a week; this one begins on 2026-10-26"
        " (value '2026-11-01')",
        f"{name}:4 [period_start_date]: not the first day of a month; this one begins on 2026-11-01"
        " (value '2026-11-15')",
    ]


@pytest.mark.parametrize(
    ("period_type", "wrong", "first"),
    [("quarter", "2026-11-01", "2026-10-01"), ("year", "2026-07-01", "2026-01-01")],
)
def test_costs_begin_with_their_period(
    tmp_path: Path, period_type: str, wrong: str, first: str
) -> None:
    header = "period_start_date,period_type,cost_category,cost_amount"
    write(tmp_path, "costs", header, f"{wrong},{period_type},rent,1", f"{wrong},day,rent,1")
    [error] = errors_of(tmp_path)
    assert f"not the first day of a {period_type}; this one begins on {first}" in error


def test_unknown_file_and_column_list_what_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, "stage_maps", "a")
    write(tmp_path, "segments", "segment,minimum", "small,1")
    errors = errors_of(tmp_path)
    assert errors[0].startswith(
        f"{tmp_path.name}/stage_maps.csv: unknown file; allowed are stage_map"
    )
    assert "[minimum]: unknown column; allowed are segment, min_amount, max_amount" in errors[1]


def test_every_error_has_line_column_and_value(tmp_path: Path) -> None:
    write(
        tmp_path,
        "exchange_rates",
        "# our rates",
        "rate_date,currency_code,rate",
        "2026-01-01,USD,81.5",
        "01.02.2026,USD,0",
        "# a remark",
        "2026-01-01,USD,3",
        "2026-03-01,,3",
        "2026-04-01,USD",
    )
    name = f"{tmp_path.name}/exchange_rates.csv"
    assert sorted(errors_of(tmp_path)) == sorted(
        [
            f"{name}:8: 2 fields where the header has 3",
            f"{name}:4 [rate_date]: not a date YYYY-MM-DD (value '01.02.2026')",
            f"{name}:4 [rate]: not a number above 0 (value '0')",
            f"{name}:7 [currency_code]: required value is empty",
            f"{name}:6 [rate_date, currency_code]: repeats an earlier row"
            " (value '2026-01-01, USD as in line 3')",
        ]
    )


def test_row_whose_first_cell_starts_with_a_number_sign_stays(tmp_path: Path) -> None:
    write(
        tmp_path,
        "loss_reason_map",
        "#made by hand",
        "# two words",
        "reason,reason_category",
        "#дорого,price",
        "# дешевле,price",
        "#",
        "%#срок%,timing",
    )
    rows = read_table(
        COMPANY_TABLES["loss_reason_map"], tmp_path / "loss_reason_map.csv", "company", Findings()
    )
    assert rows["reason"].to_pylist() == ["#дорого", "%#срок%"]


def test_spreadsheet_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    write(tmp_path, "exchange_rates", "rate_date;currency_code;rate", "2026-01-01;USD;81,5")
    rows = read_table(
        COMPANY_TABLES["exchange_rates"], tmp_path / "exchange_rates.csv", "company", Findings()
    )
    assert rows.to_pylist()[0]["rate"] == "81.5"


def test_rule_for_another_account_keeps_its_account(tmp_path: Path) -> None:
    write(
        tmp_path,
        "stage_map",
        "source_system,source_account_id,stage_id,stage_category",
        "amocrm,900,5,won",
    )
    rows = read_table(
        COMPANY_TABLES["stage_map"], tmp_path / "stage_map.csv", "company", Findings()
    )
    assert rows.to_pylist()[0]["source_account_id"] == "900"


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], LoadSummary]:
    settings = load_settings({"VORONKA_HOME": str(tmp_path)})
    return lambda: load_source(SourceRef("company"), settings)


def pulls(home: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        return connection.execute(
            "select resource, row_count from raw_company._pulls order by finished_at, pull_id"
        ).fetchall()


def test_only_changed_tables_are_new_snapshots(
    tmp_path: Path, load: Callable[[], LoadSummary]
) -> None:
    folder = tmp_path / "company"
    write(folder, "segments", "segment,min_amount", "small,0", "large,10")
    write(folder, "sales_plans", "period_type,period_start_date,metric_id,plan_value")
    load()
    load()
    assert sorted(pulls(tmp_path)) == [("sales_plans", 0), ("segments", 2)]
    write(folder, "segments", "segment,min_amount", "small,0")
    load()
    (folder / "segments.csv").unlink()
    load()
    load()
    assert [row for row in pulls(tmp_path) if row[0] == "segments"] == [
        ("segments", 2),
        ("segments", 1),
        ("segments", 0),
    ]


def test_one_error_anywhere_loads_nothing(tmp_path: Path, load: Callable[[], LoadSummary]) -> None:
    folder = tmp_path / "company"
    write(folder, "segments", "segment", "small")
    write(folder, "tax_regimes", "valid_from_date,vat_rate,is_vat_payer", "2026-01-01,22,true")
    with pytest.raises(InputDataError, match="a share from 0 to below 1"):
        load()
    assert pulls(tmp_path) == []


def test_readme_lists_the_declared_columns() -> None:
    text = SOURCE_README.read_text(encoding="utf-8")
    for table in COMPANY_TABLES.values():
        marked = ", ".join(
            f"{column.name}*" if column.required else column.name
            for column in table.columns.values()
        )
        assert f"| {table.name} | {table.purpose} | {marked} |" in text
