import subprocess
import sys
import time
from collections import namedtuple
from uuid import uuid4

import duckdb
import pytest

from orchestration.lib import serving
from orchestration.lib.errors import DiskSpaceError, PublishError, RollbackError
from orchestration.lib.serving import ServeFolder, check_disk_space

READER = """
import sys, time, duckdb
path, stop = sys.argv[1], sys.argv[2]
import pathlib
seen, reads = set(), 0
while not pathlib.Path(stop).exists():
    with duckdb.connect(path, read_only=True) as connection:
        low, high, count = connection.execute(
            "select min(build), max(build), count(*) from marts.dim_deals").fetchone()
    assert low == high and count == 20000, (low, high, count)
    seen.add(low)
    reads += 1
print(reads, len(seen))
"""


@pytest.fixture
def serve(tmp_path):
    return ServeFolder(tmp_path / "serve")


def build(serve, number, statement="create table marts.dim_deals as", rows=3):
    path = serve.new_serve_file()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        connection.execute(f"{statement} select {number} as build from range({rows})")


def served_build(serve):
    with duckdb.connect(str(serve.public_file), read_only=True) as connection:
        return connection.execute("select max(build) from marts.dim_deals").fetchone()[0]


def test_reader_in_another_process_sees_no_error_while_twenty_builds_are_published(serve, tmp_path):
    build(serve, 0, rows=20000)
    serve.publish("run-0", ["dim_deals"])
    stop = tmp_path / "stop"
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(serve.public_file), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reader:
        time.sleep(0.5)
        for number in range(1, 21):
            build(serve, number, rows=20000)
            serve.publish(f"run-{number}", ["dim_deals"])
        stop.touch()
        output, errors = reader.communicate(timeout=30)
    assert errors == ""
    reads, builds_seen = map(int, output.split())
    assert reads > 20
    assert builds_seen > 3


def test_last_three_builds_are_kept(serve):
    for number in range(5):
        build(serve, number)
        serve.publish(f"run-{number}", ["dim_deals"])
    kept = [one.run_id for one in serve.state().published]
    assert kept == ["run-4", "run-3", "run-2"]
    assert sorted(path.name for path in serve.folder.glob("voronka_*.duckdb")) == [
        "voronka_run-2.duckdb",
        "voronka_run-3.duckdb",
        "voronka_run-4.duckdb",
    ]


def test_rollback_steps_back_and_a_new_publish_steps_forward(serve):
    for number in range(3):
        build(serve, number)
        serve.publish(f"run-{number}", ["dim_deals"])
    assert serve.rollback().run_id == "run-1"
    assert served_build(serve) == 1
    assert serve.rollback().run_id == "run-0"
    with pytest.raises(RollbackError):
        serve.rollback()
    assert served_build(serve) == 0
    build(serve, 3)
    serve.publish("run-3", ["dim_deals"])
    assert served_build(serve) == 3
    assert serve.state().current_run_id == "run-3"


def test_build_that_was_rolled_back_from_never_comes_back(serve):
    for number in (0, 1, 2):
        build(serve, number)
        serve.publish(f"run-{number}", ["dim_deals"])
    serve.hold(["voronka_run-2.duckdb"])
    assert serve.rollback().run_id == "run-1"
    assert serve.rollback().run_id == "run-0"
    build(serve, 3)
    serve.publish("run-3", ["dim_deals"])
    assert [one.run_id for one in serve.state().published] == ["run-3", "run-0"]
    # Metabase still has the newest rejected build open.
    assert sorted(path.name for path in serve.folder.glob("voronka_*.duckdb")) == [
        "voronka_run-0.duckdb",
        "voronka_run-2.duckdb",
        "voronka_run-3.duckdb",
    ]
    assert serve.rollback().run_id == "run-0"
    assert served_build(serve) == 0


@pytest.mark.parametrize(
    ("statement", "expected", "words"),
    [
        ("create table marts.dim_deals as", ["dim_deals", "fct_payments"], "lacks fct_payments"),
        ("create view marts.dim_deals as", ["dim_deals"], "must be tables"),
        ("create table main.dim_deals as", [], "no marts"),
    ],
)
def test_file_that_fails_the_audit_leaves_the_old_one_serving(serve, statement, expected, words):
    build(serve, 1)
    serve.publish("run-1", ["dim_deals"])
    build(serve, 2, statement)
    with pytest.raises(PublishError, match=words):
        serve.publish("run-2", expected)
    assert served_build(serve) == 1
    assert serve.state().current_run_id == "run-1"


def test_path_is_never_used_twice(serve):
    build(serve, 1)
    serve.publish("run-1", ["dim_deals"])
    build(serve, 2)
    with pytest.raises(PublishError, match="never used twice"):
        serve.publish("run-1", ["dim_deals"])


def test_repair_removes_what_a_killed_publish_left_and_serves_what_the_state_says(serve):
    build(serve, 1)
    serve.publish("run-1", ["dim_deals"])
    build(serve, 2)
    # Killed after both renames, before the state file was replaced.
    serve.build_file.rename(serve.folder / "voronka_run-2.duckdb")
    (serve.folder / "voronka_run-2.duckdb").rename(serve.public_file)
    (serve.folder / "voronka.duckdb.tmp").write_bytes(b"half a copy")
    (serve.folder / "build.duckdb").write_bytes(b"half a build")
    serve.repair()
    assert served_build(serve) == 1
    assert serve.leftovers() == []


def test_repair_removes_every_file_of_ours_that_nothing_explains_and_no_other(serve):
    build(serve, 1)
    serve.publish("run-1", ["dim_deals"])
    ours = {
        f"voronka_{uuid4()}.duckdb",
        f"voronka_{uuid4()}.duckdb.wal",
        "build.duckdb",
        "build.duckdb.wal",
        "voronka.duckdb.tmp",
        "voronka.duckdb.wal",
        "state.json.tmp",
        "held.json.tmp",
    }
    of_the_user = {"my_analysis.sql", "export.xlsx", "voronka_november.duckdb", "notes.tmp"}
    for name in ours | of_the_user:
        (serve.folder / name).write_text("content")
    assert set(serve.leftovers()) == ours
    assert set(serve.repair()) == {f"removed {name}" for name in ours}
    assert serve.leftovers() == []
    left = {path.name for path in serve.folder.iterdir()}
    assert left == of_the_user | {"state.json", "voronka.duckdb", "voronka_run-1.duckdb"}


def test_write_ahead_log_left_beside_the_public_file_does_not_break_the_next_build(serve):
    build(serve, 1)
    serve.publish("run-1", ["dim_deals"])
    (serve.folder / "voronka.duckdb.wal").write_bytes(b"of a session that wrote by mistake")
    build(serve, 2)
    serve.publish("run-2", ["dim_deals"])
    assert served_build(serve) == 2


def test_little_disk_is_refused_before_anything_starts(serve, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(serving.shutil, "disk_usage", lambda _: usage(1, 1, 1_000_000))
    with pytest.raises(DiskSpaceError, match="Only 1 MB are free"):
        check_disk_space(tmp_path, tmp_path / "warehouse.duckdb", serve)
