"""The fake knows databases as a server does: api.md 2 and 10."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.metabase.fake import FakeMetabase, running
from tests.metabase.visiting import Visitor, client, write_marts

TOTAL = "select sum(spend) as total from marts.spend"


def total(visitor: Visitor) -> float:
    answer = visitor.post("/api/dataset", visitor.query(TOTAL))
    assert answer["status"] == "completed", answer["error"]
    return float(answer["data"]["rows"][0][0])


def switch(visitor: Visitor, path: Path) -> Any:
    body = {"details": {"database_file": str(path)}}
    return visitor.ask("PUT", f"/api/database/{visitor.database_id}", body)


@pytest.fixture
def own(visitor: Visitor, tmp_path: Path) -> Visitor:
    """Return a visitor of a database on a file of its own, one unit of money in each row."""
    visitor.connect(write_marts(tmp_path / "marts_run-1.duckdb"))
    return visitor


def test_the_list_of_databases_is_enveloped(visitor: Visitor) -> None:
    listed = visitor.get("/api/database")
    assert (listed["total"], [one["name"] for one in listed["data"]]) == (1, ["Voronka"])


def test_a_second_database_of_one_name_is_a_second_database(
    visitor: Visitor, marts_file: Path
) -> None:
    body = {"name": "Voronka", "engine": "duckdb", "details": {"database_file": str(marts_file)}}
    visitor.post("/api/database", body)
    assert visitor.get("/api/database")["total"] == 2


@pytest.mark.parametrize(
    "details", [{"database_file": "/nowhere/marts.duckdb"}, {"database_file": "", "colour": "red"}]
)
def test_a_connection_is_tested_before_it_is_stored(visitor: Visitor, details: Any) -> None:
    body = {"name": "New", "engine": "duckdb", "details": details}
    assert visitor.ask("POST", "/api/database", body).status_code == 400
    assert visitor.get("/api/database")["total"] == 1
    validated = visitor.post(
        "/api/database/validate", {"details": {"engine": "duckdb", "details": details}}
    )
    assert validated["valid"] is False


def test_an_option_nobody_knows_is_refused(visitor: Visitor, marts_file: Path) -> None:
    details = {"database_file": str(marts_file), "colour": "red"}
    body = {"name": "New", "engine": "duckdb", "details": details}
    answer = visitor.ask("POST", "/api/database", body)
    assert "options were not recognized" in answer.json()["message"]


def test_an_engine_without_its_driver_is_refused(visitor: Visitor) -> None:
    body = {"name": "New", "engine": "clickhouse", "details": {}}
    assert "engine" in visitor.ask("POST", "/api/database", body).json()["errors"]


@pytest.mark.parametrize(("version", "status"), [("0.61", 200), ("0.63", 400)])
def test_v063_breaks_older_drivers(marts_file: Path, version: str, status: int) -> None:
    with running(FakeMetabase(version=version, driver="1.5.4")) as fake:
        visitor = Visitor(fake)
        visitor.set_up()
        details = {"database_file": str(marts_file)}
        body = {"name": "New", "engine": "duckdb", "details": details}
        assert visitor.ask("POST", "/api/database", body).status_code == status


def test_details_are_merged_and_a_bad_file_leaves_the_old_one(own: Visitor) -> None:
    place = f"/api/database/{own.database_id}"
    before = own.get(place)["details"]
    assert switch(own, Path("/nowhere.duckdb")).status_code == 400
    assert own.get(place)["details"] == before
    assert total(own) == 2500
    own.put(place, {"details": {"memory_limit": "1GB"}})
    assert own.get(place)["details"] == {**before, "memory_limit": "1GB"}


def test_secrets_come_back_hidden_and_hidden_keeps_them(own: Visitor) -> None:
    place = f"/api/database/{own.database_id}"
    own.put(place, {"details": {"motherduck_token": "secret"}})
    hidden = own.get(place)["details"]
    assert hidden["motherduck_token"] == "**MetabasePass**"
    own.put(place, {"details": hidden})
    stored = own.fake.state.databases[own.database_id]["details"]
    assert stored["motherduck_token"] == "secret"


def test_another_path_is_seen_at_once(own: Visitor, tmp_path: Path) -> None:
    assert total(own) == 2500
    assert switch(own, write_marts(tmp_path / "marts_run-2.duckdb", spend=2)).status_code == 200
    assert total(own) == 5000


def test_a_replaced_path_goes_on_serving_old_rows(own: Visitor, tmp_path: Path) -> None:
    assert total(own) == 2500
    write_marts(tmp_path / "beside.duckdb", spend=2).replace(tmp_path / "marts_run-1.duckdb")
    assert total(own) == 2500
    # Even on new connections of the pool: more readers at once than it has open.
    threads = [threading.Thread(target=lambda: totals.append(total(own))) for _ in range(4)]
    totals: list[float] = []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals == [2500] * 4
    # Details that differ, be it by a space, close the pool.
    own.put(f"/api/database/{own.database_id}", {"details": {"init_sql": " "}})
    assert total(own) == 5000


def test_a_query_under_way_outlives_the_switch(own: Visitor, tmp_path: Path) -> None:
    slow = own.query("select count(*) from range(60000000) as r(i) where i % 3 = 1")
    said: list[Any] = []
    other = client(own.fake, **dict(own.http.headers))
    thread = threading.Thread(
        target=lambda: said.append(other.post("/api/dataset", json=slow).json())
    )
    thread.start()
    time.sleep(0.02)
    assert switch(own, write_marts(tmp_path / "marts_run-2.duckdb", spend=2)).status_code == 200
    thread.join()
    assert said[0]["status"] == "completed"
    assert total(own) == 5000


def test_the_first_sync_takes_its_time(visitor: Visitor, marts_file: Path) -> None:
    visitor.fake.sync_seconds = 0.1
    body = {"name": "New", "engine": "duckdb", "details": {"database_file": str(marts_file)}}
    made = visitor.post("/api/database", body)
    assert made["initial_sync_status"] == "incomplete"
    place = f"/api/database/{made['id']}"
    assert visitor.get(f"{place}/metadata")["tables"] == []
    time.sleep(0.12)
    visitor.fake.sync_seconds = 0.02
    assert visitor.get(place)["initial_sync_status"] == "complete"
    assert len(visitor.get(f"{place}/metadata")["tables"]) == 2


def test_a_later_sync_shows_in_tasks_and_metadata_after_a_while(
    own: Visitor, tmp_path: Path
) -> None:
    newest = own.get("/api/task", limit="1", offset="0")["data"][0]["id"]
    switch(own, write_marts(tmp_path / "marts_run-2.duckdb", columns=", 1 as clicks"))
    own.fake.sync_seconds = 0.1
    place = f"/api/database/{own.database_id}"
    assert own.post(f"{place}/sync_schema") == {"status": "ok"}
    # Nothing tells from the database itself that a sync is under way.
    assert own.get(place)["initial_sync_status"] == "complete"
    assert "spend.clicks" not in own.columns()
    task = own.get("/api/task", limit="1", offset="0")["data"][0]
    assert (task["id"] > newest, task["task"], task["status"]) == (True, "sync", "started")
    time.sleep(0.12)
    own.fake.sync_seconds = 0.02
    assert "spend.clicks" in own.columns()
    assert own.get("/api/task", limit="1", offset="0")["data"][0]["status"] == "success"


def _synced(visitor: Visitor) -> dict[str, int]:
    visitor.post(f"/api/database/{visitor.database_id}/sync_schema")
    time.sleep(0.025)
    return visitor.columns()


def test_ids_survive_a_swap_and_a_lost_column_keeps_its_id(own: Visitor, tmp_path: Path) -> None:
    more = write_marts(tmp_path / "marts_run-2.duckdb", columns=", 1 as clicks")
    same = write_marts(tmp_path / "marts_run-3.duckdb")
    switch(own, more)
    with_clicks = _synced(own)
    assert with_clicks.items() > own.fields.items()
    switch(own, same)
    assert _synced(own) == own.fields
    inactive = own.fake.state.fields[with_clicks["spend.clicks"]]
    assert inactive["active"] is False
    switch(own, more)
    assert _synced(own) == with_clicks


def test_a_database_made_again_has_other_ids_and_no_cards(own: Visitor, marts_file: Path) -> None:
    card, before = own.card(), own.fields
    assert own.ask("DELETE", f"/api/database/{own.database_id}").status_code == 204
    assert own.ask("GET", f"/api/card/{card['id']}").status_code == 404
    own.connect(marts_file)
    assert not set(before.values()) & set(own.fields.values())


def test_labels_survive_a_sync_and_comments_describe(own: Visitor) -> None:
    field = own.fields["spend.spend"]
    assert own.get(f"/api/field/{field}")["description"] == "Money spent"
    own.put(f"/api/field/{field}", {"display_name": "Расход", "semantic_type": "type/Currency"})
    _synced(own)
    after = own.get(f"/api/field/{field}")
    assert (after["display_name"], after["semantic_type"]) == ("Расход", "type/Currency")


def test_empty_texts_of_a_column_are_refused(own: Visitor) -> None:
    place = f"/api/field/{own.fields['spend.spend']}"
    assert own.ask("PUT", place, {"description": ""}).status_code == 400
    assert own.put(place, {"description": None})["description"] is None


def test_a_foreign_key_points_to_a_column(own: Visitor) -> None:
    source, target = own.fields["spend.channel"], own.fields["channels.channel"]
    body = {"semantic_type": "type/FK", "fk_target_field_id": target}
    assert own.put(f"/api/field/{source}", body)["fk_target_field_id"] == target
    # A column that is no key any more points nowhere.
    changed = own.put(f"/api/field/{source}", {"semantic_type": "type/Category"})
    assert changed["fk_target_field_id"] is None


def test_a_pipeline_without_a_user_notifies_by_the_environments_key(own: Visitor) -> None:
    place = f"/api/notify/db/{own.database_id}"
    own.fake.notify_key = "from-environment"
    stranger = client(own.fake)
    assert stranger.post(place, json={"scan": "schema"}).status_code == 403
    headers = {"X-METABASE-APIKEY": "from-environment"}
    assert stranger.post(place, json={"scan": "schema"}, headers=headers).status_code == 200
    own.fake.notify_key = None


def test_pools_are_closed_with_the_fake(marts_file: Path) -> None:
    fake = FakeMetabase()
    fake.state.databases[2] = {"engine": "duckdb", "details": {"database_file": str(marts_file)}}
    fake.databases.pool(2)
    assert fake.databases.open_file_count == 1
    fake.close()
    assert fake.databases.open_file_count == 0
