"""A PostgreSQL server of our own on a free loopback port: never the system's."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

OWNER = "owner"
PASSWORD = "owner's \\ pass%word"
# Nothing of a test survives a crash of the machine, so nothing waits for the disk.
FAST: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Database:
    """One database of a cluster and its owner, who is no superuser."""

    port: int
    name: str
    user: str = OWNER
    password: str = PASSWORD

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.name}"

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=self.name,
            user=self.user,
            password=self.password,
            **{"autocommit": True, **options},
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Return the settings under which a home publishes here."""
        return {
            "VORONKA_SERVING": "postgres",
            "VORONKA_POSTGRES_URL": self.url,
            "POSTGRES__PASSWORD": self.password,
            # A role belongs to the whole server, which all tests share.
            "VORONKA_POSTGRES_READER": self.reader,
            "POSTGRES__READER_PASSWORD": "reader's word",
            **more,
        }

    @property
    def reader(self) -> str:
        return f"reader_of_{self.name}"

    def as_reader(self) -> Database:
        return replace(self, user=self.reader, password="reader's word")


@dataclass(frozen=True)
class Cluster:
    """A running server."""

    folder: Path
    port: int
    server_pid: int

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def superuser(self, database: str = "postgres") -> Database:
        return Database(self.port, database, "postgres", PASSWORD)

    def new_database(self, name: str) -> Database:
        """Make an empty database of the owner."""
        with self.superuser().connect() as connection:
            connection.execute(f'create database "{name}" owner {OWNER}')
        return Database(self.port, name)


def binaries() -> Path | None:
    """Return the folder of the server's programs, or None where PostgreSQL is not installed."""
    named = shutil.which("initdb")
    found = [Path(named).resolve()] if named else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version, reverse=True)
    return next((path.parent for path in found if (path.parent / "postgres").exists()), None)


@contextmanager
def required_cluster() -> Iterator[Cluster]:
    """Run a server; without PostgreSQL the test is skipped, in CI it fails."""
    if binaries() is None:
        message = "PostgreSQL is not installed: make packages"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with running_cluster() as server:
        yield server


@contextmanager
def running_cluster(settings: Mapping[str, str] = FAST) -> Iterator[Cluster]:
    """Run a server in a temporary folder until the block ends, or this process does.

    As root it runs as another user: PostgreSQL refuses root.
    """
    programs = binaries()
    assert programs is not None
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="voronka-postgres-"))
    server = None
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        words = folder / "words"
        words.write_text(PASSWORD)
        words.chmod(0o644)
        subprocess.run(
            [
                *(programs / "initdb", "-D", folder / "data", "-U", "postgres"),
                *("--pwfile", words, "-A", "scram-sha-256"),
                *("-E", "UTF8", "--no-locale", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **account,
        )
        words.unlink()
        port = _free_port()
        options = {
            **settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
        }
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *(programs / "postgres", "-D", folder / "data"),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (the child only makes one call)
                **account,
            )
        cluster = Cluster(folder, port, server.pid)
        _await_start(cluster, server)
        with cluster.superuser().connect() as connection:
            quoted = PASSWORD.replace("'", "''")
            connection.execute(f"create role {OWNER} login createrole password '{quoted}'")
        yield cluster
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("neither the user postgres nor nobody exists")


def _end_with_parent() -> None:
    # A test run that is killed leaves no server behind; 1 is PR_SET_PDEATHSIG.
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _await_start(cluster: Cluster, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            cluster.superuser().connect(connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {cluster.log}") from error
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.parent.name.split(".") if part.isdigit())
