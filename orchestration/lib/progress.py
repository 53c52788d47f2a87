"""Progress for people: stable lines such as `[load] amocrm/leads ...` on the real terminal.

Dagster, dbt and dlt each write pages of their own. The command sends those to a log file and keeps
the terminal for these lines; tests and scripts may rely on the word in brackets.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PHASES = ("start", "load", "transform", "publish", "page", "metabase", "done")
_SECONDS_BETWEEN_LINES = 2.0


class Console:
    """Writes progress lines, at most one per topic every two seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._shown_at: dict[str, float] = {}
        self._started = time.monotonic()

    def line(self, phase: str, text: str) -> None:
        """Write one line at once."""
        with self._lock:
            stream = self._stream or sys.stdout
            stream.write(f"[{phase}] {text}\n")
            stream.flush()

    def throttled(self, phase: str, topic: str, text: str) -> None:
        """Write one line unless this topic was shown a moment ago."""
        now = time.monotonic()
        with self._lock:
            if now - self._shown_at.get(topic, -_SECONDS_BETWEEN_LINES) < _SECONDS_BETWEEN_LINES:
                return
            self._shown_at[topic] = now
        self.line(phase, text)

    def elapsed(self) -> float:
        """Return the seconds since this console was made."""
        return time.monotonic() - self._started


_current = Console()


def console() -> Console:
    """Return the console of this process: the terminal under the command, stdout elsewhere."""
    return _current


@contextmanager
def terminal_for_progress(log_file: Path) -> Iterator[Console]:
    """Keep the terminal for progress and send everything else this process prints to a file.

    Works on file descriptors, so that output of child processes and of C libraries goes the same
    way.
    """
    global _current  # noqa: PLW0603 - one terminal per process
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved_out, saved_err = os.dup(1), os.dup(2)
    before = _current
    with (
        log_file.open("ab") as sink,
        os.fdopen(os.dup(saved_out), "w", encoding="utf-8", errors="replace") as terminal,
    ):
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        _current = Console(terminal)
        try:
            yield _current
        finally:
            _current = before
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved_out, 1)
            os.dup2(saved_err, 2)
            os.close(saved_out)
            os.close(saved_err)


def thousands(number: float) -> str:
    """Return a whole number with thin groups: 12 345."""
    return f"{number:,.0f}".replace(",", " ")


def seconds_in_words(seconds: float, locale: str = "en") -> str:
    """Return a duration for people: 4 s, 2 min 05 s, 1 h 10 min.

    Args:
        seconds: How long.
        locale: `ru` or `en`; progress lines are English for everybody.
    """
    hour, minute, second = ("ч", "мин", "с") if locale == "ru" else ("h", "min", "s")
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} {second}"
    if whole < 3600:
        return f"{whole // 60} {minute} {whole % 60:02d} {second}"
    return f"{whole // 3600} {hour} {whole % 3600 // 60:02d} {minute}"
