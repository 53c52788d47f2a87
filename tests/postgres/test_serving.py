"""The marts in a real PostgreSQL: whole, exact, for readers only, whatever happens to the run."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from orchestration.lib.errors import PostgresError, PublishError
from orchestration.lib.postgres_connection import metabase_details
from orchestration.lib.postgres_serving import MartDescriptions, PostgresServing, schema_of
from tests.postgres.cluster import Cluster, Database
from tests.postgres.kills import number_shown, publish, schemas
from tests.postgres.readers import NOTHING_SAID, ROWS, Watch, reading, write_build

MakeServing = Callable[..., PostgresServing]


def test_eight_readers_see_old_or_new_never_an_error_never_the_old_after_the_switch(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    watch = Watch()
    publish(serving, tmp_path, 0)
    with reading(database.as_reader(), watch):
        for number in range(1, 9):
            publish(serving, tmp_path, number)
            watch.shown = number
    assert (watch.failures, watch.stale, watch.torn) == ([], [], [])
    assert watch.reads > 100
    assert schemas(database) == {"marts", "marts_run_7"}


def test_a_transaction_that_began_before_the_load_never_sees_an_empty_table(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    with database.as_reader().connect(autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select 1")
        file = write_build(tmp_path / "2.duckdb", 2)
        serving.load(file, "run-2", NOTHING_SAID)
        serving.switch("run-2")
        assert connection.execute("select count(*) from marts.deals").fetchone() == (ROWS,)


def test_a_statement_that_is_looking_its_tables_up_sees_one_build(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    serving.load(write_build(tmp_path / "2.duckdb", 2), "run-2", NOTHING_SAID)
    query = "select (select min(number) from marts.deals), (select min(number) from marts.people)"
    with (
        ThreadPoolExecutor(2) as threads,
        database.connect(autocommit=False) as holder,
        database.as_reader().connect() as reader,
        database.connect() as watcher,
    ):
        # The reader has found the first table and waits for the second.
        holder.execute("lock table marts.people in access exclusive mode")
        answer = threads.submit(lambda: reader.execute(query).fetchone())
        waits = "select count(*) from pg_locks where not granted"
        while watcher.execute(waits).fetchone() == (0,):
            time.sleep(0.01)
        switch = threads.submit(serving.switch, "run-2")
        time.sleep(0.5)
        holder.rollback()
        assert answer.result(30) == (1, 1)
        assert switch.result(30) < 5
    assert number_shown(database) == 2


def test_a_switch_does_not_wait_for_a_reader_that_stays(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    serving.load(write_build(tmp_path / "2.duckdb", 2), "run-2", NOTHING_SAID)
    with database.as_reader().connect(autocommit=False) as connection:
        connection.execute("select count(*) from marts.deals")
        assert serving.switch("run-2") < 5
        assert number_shown(database) == 2
        assert connection.execute("select 1").fetchone() == (1,)


def test_values_arrive_exactly(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "types.duckdb"
    with duckdb.connect(str(file)) as source:
        source.execute("create schema marts")
        source.execute("""
            create table marts.dim_values as select * from (values
                (1, true, 1::bigint, 'NaN'::double, -9999999999999999.99::decimal(18, 2),
                    0.000000000001::decimal(18, 12), timestamp '1969-12-31 23:59:59.999999',
                    date '0001-01-01', 1::hugeint, 1.5::float, null::varchar, 1::tinyint),
                (2, false, -9223372036854775808, 'inf', 9999999999999999.99, -1.1,
                    timestamp '9999-12-31 23:59:59.999999', date '9999-12-31',
                    -99999999999999999999999999999999999999, -1e30, '', -128),
                (3, null, 9223372036854775807, '-inf', 0.10, 999999.999999999999,
                    timestamp '2026-11-22 00:00:00', date '2024-02-29',
                    99999999999999999999999999999999999999, null,
                    'a"b''c\\N' || chr(10) || chr(9) || ', ; \\', 127),
                (4, null, null, 5e-324, null, null, null, null, null, null, 'Ж😀𝄞é', null)
            ) as rows (id, flag, whole, real, money, weight, moment, day, huge, small, words, tiny)
        """)
        expected = source.execute("select * from marts.dim_values order by id").fetchall()
    serving.load(file, "run-1", NOTHING_SAID)
    serving.switch("run-1")
    with database.as_reader().connect() as connection:
        rows = connection.execute("select * from marts.dim_values order by id").fetchall()
        types = dict(
            connection.execute(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute"
                " where attrelid = 'marts.dim_values'::regclass and attnum > 0"
            ).fetchall()
        )
    assert math.isnan(rows[0][3]) and math.isnan(expected[0][3])
    assert [*rows[0][:3], *rows[0][4:]] == [*expected[0][:3], *expected[0][4:]]
    assert rows[1:] == expected[1:]
    assert {str(value) for value in rows[1]} == {str(value) for value in expected[1]}
    assert types["money"] == "numeric(18,2)" and types["weight"] == "numeric(18,12)"
    assert types["moment"] == "timestamp without time zone" and types["day"] == "date"
    assert (types["flag"], types["whole"], types["words"]) == ("boolean", "bigint", "text")


def test_the_byte_zero_arrives_as_the_sign_for_unreadable(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "zero.duckdb"
    with duckdb.connect(str(file)) as source:
        source.execute("create schema marts")
        source.execute("create table marts.t as select 'a' || chr(0) || 'b' as words, 'c' as rest")
    serving.load(file, "run-1", NOTHING_SAID)
    serving.switch("run-1")
    with database.as_reader().connect() as connection:
        assert connection.execute("select * from marts.t").fetchall() == [("a\ufffdb", "c")]


def test_a_type_that_is_not_served_is_named_with_its_column(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "list.duckdb"
    with duckdb.connect(str(file)) as source:
        source.execute("create schema marts")
        source.execute("create table marts.t as select [1, 2] as numbers")
    with pytest.raises(PublishError, match=r"marts\.t\.numbers is of type INTEGER\[\]"):
        serving.load(file, "run-1", NOTHING_SAID)
    assert schemas(database) == set()


def test_descriptions_keys_and_obligations_go_along(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "described.duckdb"
    with duckdb.connect(str(file)) as source:
        source.execute("create schema marts")
        source.execute("create table marts.deals (id bigint not null, name varchar)")
    said = MartDescriptions(
        {"deals": 'One row per deal; it\'s "ours".'},
        {("deals", "name"): "As the CRM says.", ("deals", "gone"): "No such column."},
        {"deals": ["id"]},
    )
    serving.load(file, "run-1", said)
    serving.switch("run-1")
    with database.connect() as connection:
        assert connection.execute(
            "select obj_description('marts.deals'::regclass),"
            " col_description('marts.deals'::regclass, 2)"
        ).fetchone() == ('One row per deal; it\'s "ours".', "As the CRM says.")
        assert connection.execute(
            "select indexdef like '%(id)' from pg_indexes where schemaname = 'marts'"
        ).fetchall() == [(True,)]
        assert connection.execute(
            "select attnotnull from pg_attribute where attrelid = 'marts.deals'::regclass"
            " and attnum > 0 order by attnum"
        ).fetchall() == [(True,), (False,)]


def test_the_reader_reads_the_marts_and_can_do_nothing_else(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create schema secrets; create table secrets.pay as select 1 as one")
    publish(serving, tmp_path, 1)
    publish(serving, tmp_path, 2)
    with database.as_reader().connect() as connection:
        assert connection.execute("select count(*) from marts.deals").fetchone() == (ROWS,)
        connection.execute("set default_transaction_read_only = off")
        for statement in (
            "insert into marts.deals values (1, 1, 'x')",
            "update marts.deals set number = 0",
            "delete from marts.deals",
            "truncate marts.deals",
            "drop table marts.deals",
            "create table marts.mine (id int)",
            "create table public.mine (id int)",
            "alter schema marts rename to other",
            "select * from secrets.pay",
            "select * from marts_run_1.deals",
            "create role friend",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_no_password_stands_in_the_servers_log(
    serving: PostgresServing, cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.superuser().connect() as connection:
        connection.execute("alter role owner set log_statement = 'all'")
    try:
        publish(serving, tmp_path, 1)
    finally:
        with cluster.superuser().connect() as connection:
            connection.execute("alter role owner reset log_statement")
    assert "alter schema" in cluster.log and "SCRAM-SHA-256" in cluster.log
    assert "reader's word" not in cluster.log and "reader''s word" not in cluster.log
    assert "reader's word" not in repr(serving.target) + str(serving.target)


def test_whoever_was_let_in_stays_in(
    serving: PostgresServing, database: Database, cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.superuser().connect() as connection:
        connection.execute(f"create role anna_{database.name}")
    publish(serving, tmp_path, 1)
    with database.connect() as connection:
        connection.execute(f"grant usage on schema marts to anna_{database.name}")
        connection.execute(f"grant select on marts.deals to anna_{database.name}")
    publish(serving, tmp_path, 2)
    with cluster.superuser(database.name).connect() as connection:
        connection.execute(f"set role anna_{database.name}")
        assert connection.execute("select max(number) from marts.deals").fetchone() == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from marts.people")


def test_a_schema_marts_of_somebody_else_is_never_touched(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create schema marts; create table marts.theirs as select 1 as one")
    with pytest.raises(PostgresError, match="made by somebody else and stays as it is"):
        publish(serving, tmp_path, 1)
    with database.connect() as connection:
        assert connection.execute("select * from marts.theirs").fetchall() == [(1,)]


def test_another_companys_home_is_refused(
    make_serving: MakeServing, database: Database, tmp_path: Path
) -> None:
    publish(make_serving(database, "one"), tmp_path, 1)
    with pytest.raises(PostgresError, match="made by another home of Voronka"):
        publish(make_serving(database, "two"), tmp_path, 2)
    assert number_shown(database) == 1


def test_a_view_of_an_analyst_is_not_dropped_with_the_build_under_it(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    with database.connect() as connection:
        connection.execute("create schema mine; create view mine.v as select * from marts.deals")
    publish(serving, tmp_path, 2)
    serving.load(write_build(tmp_path / "3.duckdb", 3), "run-3", NOTHING_SAID)
    serving.switch("run-3")
    left = serving.tidy(["run-2"])
    assert len(left) == 1 and "marts_run_1 stays: view mine.v depends on table" in left[0]
    with database.connect() as connection:
        assert connection.execute("select max(number) from mine.v").fetchone() == (1,)


def test_going_back_and_forth_is_a_switch(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    publish(serving, tmp_path, 2)
    serving.switch("run-1")
    assert number_shown(database) == 1
    serving.switch("run-1")
    serving.switch("run-2")
    assert number_shown(database) == 2
    with pytest.raises(PostgresError, match="holds no build of run run-9"):
        serving.switch("run-9")
    assert number_shown(database) == 2


def test_a_build_whose_run_was_killed_before_the_switch_is_shown_or_removed(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    publish(serving, tmp_path, 1)
    serving.load(write_build(tmp_path / "2.duckdb", 2), "run-2", NOTHING_SAID)
    assert serving.repair("run-1") is None and number_shown(database) == 1
    assert serving.repair("run-2") is not None and number_shown(database) == 2
    serving.load(write_build(tmp_path / "3.duckdb", 3), "run-3", NOTHING_SAID)
    assert serving.tidy(["run-1"]) == []
    assert schemas(database) == {"marts", schema_of("run-1")}


def test_a_wrong_password_is_one_line_without_the_password(
    make_serving: MakeServing, database: Database
) -> None:
    serving = make_serving(database, POSTGRES__PASSWORD="guessed-wrong")
    with pytest.raises(PostgresError) as caught:
        serving.builds()
    text = str(caught.value)
    assert "refuses the user owner: the password is wrong. Set POSTGRES__PASSWORD" in text
    assert "\n" not in text and "guessed-wrong" not in text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://owner@127.0.0.1:1/company", "does not answer"),
        ("postgresql://owner@nowhere.invalid/company", "does not answer"),
        ("postgresql://owner@127.0.0.1:{port}/missing", 'database "missing" does not exist'),
    ],
)
def test_a_server_that_is_not_there_is_one_line(
    make_serving: MakeServing, database: Database, address: str, words: str
) -> None:
    serving = make_serving(database, VORONKA_POSTGRES_URL=address.format(port=database.port))
    with pytest.raises(PostgresError) as caught:
        serving.builds()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(
    make_serving: MakeServing, database: Database
) -> None:
    with pytest.raises(PostgresError, match="The setting postgres_tls is require"):
        make_serving(database, VORONKA_POSTGRES_TLS="require").builds()


def test_a_user_who_may_not_make_schemas_is_told_the_grant(
    make_serving: MakeServing, cluster: Cluster, tmp_path: Path
) -> None:
    database = cluster.new_database("not_theirs")
    with cluster.superuser().connect() as connection:
        connection.execute("create role visitor login createrole password 'visits'")
    serving = make_serving(
        database,
        VORONKA_POSTGRES_URL=f"postgresql://visitor@127.0.0.1:{database.port}/not_theirs",
        POSTGRES__PASSWORD="visits",
    )
    with pytest.raises(PostgresError, match="grant create on database not_theirs to visitor;"):
        publish(serving, tmp_path, 1)


def test_a_full_disk_of_the_server_is_not_called_ours(serving: PostgresServing) -> None:
    from orchestration.lib.causes import EXIT_STORAGE, Cause
    from orchestration.lib.postgres_connection import explained

    error = explained(psycopg.errors.DiskFull("could not extend file"), serving.target)
    cause = Cause.of(error)
    assert cause.exit_code == EXIT_STORAGE
    assert f"PostgreSQL at {serving.target}: the server's disk is full" in cause.text


def test_what_metabase_gets_reads_the_marts_and_nothing_beside(
    serving: PostgresServing, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.config import load_settings

    publish(serving, tmp_path, 1)
    environment = database.environment(
        VORONKA_HOME=str(tmp_path / "home"), VORONKA_METABASE_POSTGRES_ADDRESS="postgres:5432"
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    details: dict[str, Any] = metabase_details(load_settings())
    assert (details["host"], details["port"], details["ssl"]) == ("postgres", 5432, False)
    assert details["schema-filters-patterns"] == "marts"
    with psycopg.connect(
        host="127.0.0.1",
        port=database.port,
        dbname=details["dbname"],
        user=details["user"],
        password=details["password"],
    ) as connection:
        assert connection.execute("select count(*) from marts.deals").fetchone() == (ROWS,)


def test_a_reader_of_another_home_on_the_same_server_is_refused_and_left_as_it_is(
    make_serving: MakeServing, database: Database, cluster: Cluster, tmp_path: Path
) -> None:
    publish(make_serving(database, "one"), tmp_path, 1)
    second = cluster.new_database(f"{database.name}_second")
    other = make_serving(
        second,
        "two",
        VORONKA_POSTGRES_READER=database.reader,
        POSTGRES__READER_PASSWORD="another word",
    )
    with pytest.raises(PostgresError, match="VORONKA_POSTGRES_READER to a name of its own"):
        publish(other, tmp_path, 3)
    assert number_shown(database) == 1
    assert schemas(second) == set()
    publish(make_serving(second, "two"), tmp_path, 2)
    assert (number_shown(database), number_shown(second)) == (1, 2)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), second.as_reader().connect() as one:
        one.execute(f"set role {database.reader}")


def test_a_reader_made_before_homes_were_named_is_adopted_once(
    make_serving: MakeServing, database: Database, cluster: Cluster, tmp_path: Path
) -> None:
    first = make_serving(database, "one")
    publish(first, tmp_path, 1)
    with database.connect() as connection:
        connection.execute(
            f"comment on role {database.reader} is 'Voronka: reads the schema marts and nothing"
            " else'"
        )
    publish(first, tmp_path, 2)
    second = cluster.new_database(f"{database.name}_second")
    other = make_serving(second, "two", VORONKA_POSTGRES_READER=database.reader)
    with pytest.raises(PostgresError, match="to a name of its own"):
        publish(other, tmp_path, 3)


def test_the_reader_may_connect_where_not_everybody_may(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(f"revoke connect on database {database.name} from public")
    publish(serving, tmp_path, 1)
    assert number_shown(database) == 1


def test_a_user_who_may_not_let_the_reader_connect_publishes_all_the_same(
    make_serving: MakeServing, cluster: Cluster, tmp_path: Path
) -> None:
    database = cluster.new_database("closed")
    with cluster.superuser("closed").connect() as connection:
        connection.execute("create role publisher login createrole password 'publishes'")
        connection.execute("revoke connect on database closed from public")
        connection.execute("grant connect, create on database closed to publisher")
    url = f"postgresql://publisher@127.0.0.1:{database.port}/closed"
    serving = make_serving(database, VORONKA_POSTGRES_URL=url, POSTGRES__PASSWORD="publishes")
    publish(serving, tmp_path, 1)
    with cluster.superuser("closed").connect() as connection:
        assert connection.execute("select max(number) from marts.deals").fetchone() == (1,)


def test_a_text_too_long_for_an_index_arrives_without_one(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "long.duckdb"
    # Random letters: a text that repeats itself is compressed and fits.
    text = "".join(random.Random(1).choices("абвгдежзиклмнопрстуфхцчшщыэюя ,.", k=6000))
    with duckdb.connect(str(file)) as source:
        source.execute("create schema marts")
        source.execute("create table marts.rpt_reasons as select 1 as id, ? as reason", [text])
        source.execute("create table marts.short as select 1 as id")
    said = MartDescriptions({}, {}, {"rpt_reasons": ["id", "reason"], "short": ["id"]})
    told: list[str] = []
    assert serving.load(file, "run-1", said, told.append) == {"rpt_reasons": 1, "short": 1}
    serving.switch("run-1")
    with database.as_reader().connect() as connection:
        assert connection.execute("select reason from marts.rpt_reasons").fetchone() == (text,)
        indexed = connection.execute("select tablename from pg_indexes where schemaname = 'marts'")
        assert indexed.fetchall() == [("short",)]
    assert len(told) == 1 and "rpt_reasons has no index on id, reason" in told[0]


def test_another_publishing_user_is_told_whose_the_marts_are(
    serving: PostgresServing,
    make_serving: MakeServing,
    database: Database,
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    publish(serving, tmp_path, 1)
    with cluster.superuser().connect() as connection:
        connection.execute("create role second login createrole password 'two'")
        connection.execute(f'grant create on database "{database.name}" to second')
    url = f"postgresql://second@127.0.0.1:{database.port}/{database.name}"
    other = make_serving(database, VORONKA_POSTGRES_URL=url, POSTGRES__PASSWORD="two")
    with pytest.raises(PostgresError, match="the user owner published there before"):
        publish(other, tmp_path, 2)
    assert number_shown(database) == 1
