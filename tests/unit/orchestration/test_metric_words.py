"""The definition of a number and the words beside it tell of the same calculation."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import duckdb
import jinja2
import pytest

PROJECT = Path(__file__).parents[3] / "dbt_project"


def missing_words(missing: str, language: str) -> str:
    text = (PROJECT / "macros" / "panel.sql").read_text("utf-8")
    macros = jinja2.Environment(autoescape=False).from_string(text).module
    expression = macros.missing_words(f"'{missing}'", language)  # type: ignore[attr-defined]
    ((words,),) = duckdb.sql(f"select {expression}").fetchall()
    return str(words)


def definition(metric_id: str, language: str) -> str:
    with (PROJECT / "seeds" / "metric_definitions.csv").open(encoding="utf-8", newline="") as rows:
        (row,) = [row for row in csv.DictReader(rows) if row["metric_id"] == metric_id]
    return row[f"definition_{language}"]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_earned_is_defined_by_what_stands_in_for_it(language: str) -> None:
    words = missing_words("costs", language)
    shown = re.search(r"\(\w+: (.+)\)", words)
    assert shown, words
    assert shown[1] in definition("earned", language)
