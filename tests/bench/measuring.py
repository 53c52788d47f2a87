"""A child process per measurement, so that one's memory and caches never help another."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
GIB = 1024**3


@dataclass(frozen=True)
class Measured:
    """What one child process did."""

    rows: int
    seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def measure(module: str, *arguments: str) -> Measured:
    """Run `python -m module arguments...`, which prints rows and seconds as JSON, and add its peak memory.

    The peak is the operating system's own account of the ended process and of the children it waited for.
    """
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("VORONKA_", "SOURCES__"))
    }
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=output, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise RuntimeError(
            f"{module} {' '.join(arguments)} ended with {process.returncode}:\n{text}"
        )
    result = json.loads(text.strip().splitlines()[-1])
    return Measured(result["rows"], result["seconds"], usage.ru_maxrss * 1024)


def apart(work: Callable[..., T], *arguments: object) -> T:
    """Prepare something in a process of its own and return what it returned.

    The operating system counts what the starting process holds into the peak of every child, so the one that
    measures has to stay small.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


class Report:
    """Lines of figures with their bars; remembers whether one was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def figure(self, name: str, text: str) -> None:
        print(f"  {name:<58} {text}", flush=True)

    def bar(self, name: str, text: str, *, holds: bool) -> None:
        if not holds:
            self.missed.append(name)
        print(f"  {name:<58} {text}   {'ok' if holds else 'MISSED'}", flush=True)


def scratch(name: str) -> Path:
    """Return a new folder for a measurement; the caller removes it."""
    return Path(tempfile.mkdtemp(prefix=f"voronka-bench-{name}-"))
