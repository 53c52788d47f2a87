"""A Metabase in front of the marts in PostgreSQL: filters, the switch, and a wrong password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load_settings
from orchestration.lib.postgres_connection import metabase_details
from orchestration.lib.postgres_serving import PostgresServing
from tests.metabase.fake import FakeMetabase, running
from tests.metabase.visiting import Visitor
from tests.postgres.cluster import Database
from tests.postgres.kills import publish

NUMBER = "select max(number) as number from marts.deals"


@pytest.fixture
def visitor(
    serving: PostgresServing, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Visitor]:
    """Yield an administrator of an instance that shows the first build."""
    publish(serving, tmp_path, 1)
    for name, value in database.environment(VORONKA_HOME=str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    with running(FakeMetabase(sync_seconds=0)) as fake:
        visitor = Visitor(fake)
        visitor.set_up()
        body = {"name": "Voronka", "engine": "postgres", "details": details()}
        visitor.database_id = visitor.post("/api/database", body)["id"]
        visitor.wait_for_sync()
        yield visitor
        visitor.close()


def details() -> dict[str, Any]:
    return metabase_details(load_settings())


def test_metabase_sees_the_marts_alone(
    visitor: Visitor, serving: PostgresServing, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 2)
    visitor.post(f"/api/database/{visitor.database_id}/sync_schema")
    tables = visitor.get(f"/api/database/{visitor.database_id}/metadata")["tables"]
    assert {table["schema"] for table in tables} == {"marts"}


def test_the_next_build_shows_without_a_word_to_metabase(
    visitor: Visitor, serving: PostgresServing, tmp_path: Path
) -> None:
    seen = []
    for number in (1, 2, 3):
        if number > 1:
            publish(serving, tmp_path, number)
        answer = visitor.post("/api/dataset", visitor.query(NUMBER))
        assert answer["status"] == "completed", answer["error"]
        seen.append(answer["data"]["rows"])
    assert seen == [[[1]], [[2]], [[3]]]


def test_a_field_filter_filters(visitor: Visitor) -> None:
    column = next(name for name in visitor.fields if name.endswith(".number"))
    tag = visitor.tag("number", column, "number/=")
    sql = f"select count(*) as n from marts.{column.split('.')[0]} where {{{{number}}}}"
    card = visitor.card(sql, dataset_query=visitor.query(sql, number=tag))
    target = ["dimension", ["template-tag", "number"]]
    wanted = {"id": "tag-number", "type": "number/=", "target": target, "value": [999]}
    answer = visitor.post(f"/api/card/{card['id']}/query", {"parameters": [wanted]})
    assert answer["data"]["rows"] == [[0]]


def test_a_wrong_password_is_refused_and_the_old_one_kept(visitor: Visitor) -> None:
    place = f"/api/database/{visitor.database_id}"
    assert visitor.get(place)["details"]["password"] == "**MetabasePass**"
    wrong = {"details": {"password": "guessed"}}
    assert visitor.ask("PUT", place, wrong).status_code == 400
    answer = visitor.post("/api/dataset", visitor.query(NUMBER))
    assert answer["status"] == "completed"
