"""What sqlfluff needs of dbt's adapter: a dispatched macro is one expression, a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def dispatch(name: str, _package: str | None = None) -> Callable[..., str]:
    """Return a macro that renders as a call of its own name."""

    def dispatched(*arguments: Any, **_: Any) -> str:
        return f"{name}({', '.join(map(str, arguments))})"

    return dispatched


def get_relation(*_: Any, **__: Any) -> None:
    """Return no relation: nothing is built while linting."""
