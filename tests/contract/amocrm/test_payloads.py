"""Payloads recorded from the vendor pass through record building without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.config import SourceRef, load_settings
from ingest.sources.amocrm import ENDPOINTS, Session

_FILES = {
    "recorded_leads_page": ("leads", "leads"),
    "doc_leads_01": ("leads", "leads"),
    "doc_leads_02": ("leads", "leads"),
    "doc_leads_03": ("leads", "leads"),
    "doc_contacts_01": ("contacts", "contacts"),
    "doc_contacts_02": ("contacts", "contacts"),
    "doc_companies_01": ("companies", "companies"),
    "doc_pipelines_01": ("pipelines", "pipelines"),
    "doc_events_notes_01": ("events", "events"),
    "doc_events_notes_02": ("events", "events"),
    "doc_events_notes_03": ("lead_notes", "notes"),
    "doc_events_notes_04": ("lead_notes", "notes"),
    "doc_tasks_01": ("tasks", "tasks"),
    "doc_unsorted_01": ("unsorted", "unsorted"),
    "doc_unsorted_02": ("unsorted", "unsorted"),
    "doc_users_01": ("users", "users"),
}
_PERSONAL = {
    "name",
    "first_name",
    "last_name",
    "email",
    "text",
    "original_name",
    "file_name",
    "phone",
    "from",
    "ip",
    "value",
    "result",
    "link",
}


def records(shared_data: Path, file: str, name: str) -> list[dict[str, Any]]:
    body = json.loads((shared_data / "api_samples" / "amocrm" / f"{file}.json").read_text("utf-8"))
    embedded = body.get("_embedded", {})
    found = embedded.get(name) if isinstance(embedded, dict) else None
    return found if isinstance(found, list) else [body]


def landed(
    tmp_path: Path, table: str, rows: list[dict[str, Any]], mode: str
) -> list[dict[str, Any]]:
    settings = load_settings({"VORONKA_HOME": str(tmp_path), "VORONKA_PERSONAL_DATA": mode})
    session = Session(SourceRef("amocrm"), settings)
    session.__dict__["account_id"] = "900"
    (endpoint,) = [one for one in ENDPOINTS if one.table == table]
    batch = session.batch(endpoint, rows, "pull")
    assert all(batch.column("record_id").to_pylist())
    return [json.loads(str(text)) for text in batch.column("payload").to_pylist()]


def differences(left: Any, right: Any, key: str = "") -> set[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        assert left.keys() == right.keys()
        return set().union(*(differences(left[name], right[name], name) for name in left), set())
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return set().union(
            *(differences(a, b, key) for a, b in zip(left, right, strict=True)), set()
        )
    return set() if left == right and type(left) is type(right) else {key}


@pytest.mark.parametrize("file", _FILES)
def test_recorded_payloads_land_whole(shared_data: Path, tmp_path: Path, file: str) -> None:
    table, name = _FILES[file]
    rows = records(shared_data, file, name)
    assert rows
    assert landed(tmp_path, table, records(shared_data, file, name), "keep") == rows
    hashed = landed(tmp_path, table, records(shared_data, file, name), "hash")
    for before, after in zip(rows, hashed, strict=True):
        assert differences(before, after) <= _PERSONAL
