"""Options of the source and the agreement of its error texts."""

from __future__ import annotations

import pytest

from ingest.config import load_settings
from ingest.errors import ConfigurationError
from ingest.tabular import Findings


def test_unknown_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match="VORONKA_FILES_SPEED"):
        load_settings({"VORONKA_HOME": "/nonexistent", "VORONKA_FILES_SPEED": "1"})


def test_findings_count_all_and_show_five() -> None:
    findings = Findings()
    for line in range(2, 9):
        findings.add("a.csv", "bad", line=line, column="x", value="v" * 200)
    listed = findings.listed()
    assert [item.line for item in listed] == [2, 3, 4, 5, 6]
    assert listed[0].reason == "bad (7 rows)"
    assert listed[0].value is not None
    assert len(listed[0].value) == 80
