"""What the parts of the fake share: requests, answers, refusals and the table of routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson


@dataclass(frozen=True)
class Visitor:
    """Who asks: a user or an API key, by the groups that count for the rights."""

    user_id: int
    group_ids: frozenset[int]
    is_admin: bool


@dataclass
class Call:
    """A request after its body was read.

    Attributes:
        method: In capitals.
        path: Without the query string.
        query: Parameters of the query string, each with all its values.
        body: The parsed JSON body; None without one.
        visitor: Who asks; None on the few routes that are open to everybody.
        numbers: The variable parts of the path, in order.
    """

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    visitor: Visitor | None = None
    numbers: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        """Return whether a query parameter says yes."""
        return self.query.get(name, ["false"])[-1] in {"true", "1"}

    def one(self, name: str, default: str | None = None) -> str | None:
        """Return a query parameter."""
        return self.query.get(name, [default])[-1]


@dataclass(frozen=True)
class Answer:
    """What goes back; a `str` body is sent as text, anything else as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """Return the bytes and their content type."""
        if self.status == 204 or self.body is None:
            return b"", "application/json"
        if isinstance(self.body, str):
            is_html = self.body.startswith("<")
            return self.body.encode(), "text/html" if is_html else "text/plain;charset=utf-8"
        return orjson.dumps(self.body, default=str, option=orjson.OPT_NON_STR_KEYS), (
            "application/json;charset=utf-8"
        )


class RefusedError(Exception):
    """The server says no."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.answer = Answer(status, body)


def invalid(**errors: str) -> RefusedError:
    """Return the refusal of a body by its fields."""
    return RefusedError(
        400, {"errors": errors, "specific-errors": {k: [v] for k, v in errors.items()}}
    )


def missing() -> RefusedError:
    """Return the refusal of an id nobody has."""
    return RefusedError(404, "Not found.")


def forbidden() -> RefusedError:
    """Return the refusal of somebody without the right."""
    return RefusedError(403, "You don't have permissions to do that.")


Handler = Callable[[Call], Any]
_VARIABLE = re.compile(r"\{[^}]+\}")


class Routes:
    """Handlers by method and path template; the first template that fits answers."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, str], tuple[str, Handler]] = {}
        self._variable: dict[tuple[str, int], list[tuple[re.Pattern[str], str, Handler]]] = {}

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Let a handler answer a template such as `/api/card/{id}`."""
        if "{" not in template:
            self._fixed[method, template] = (template, handler)
            return
        pattern = re.compile(_VARIABLE.sub("([^/]+)", template) + "$")
        key = (method, template.count("/"))
        self._variable.setdefault(key, []).append((pattern, template, handler))

    def find(self, method: str, path: str) -> tuple[str, Handler, tuple[str, ...]]:
        """Return the template, its handler and the variable parts.

        Raises:
            RefusedError: No such route.
        """
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return (*fixed, ())
        for pattern, template, handler in self._variable.get((method, path.count("/")), []):
            match = pattern.match(path)
            if match:
                return template, handler, match.groups()
        raise RefusedError(404, "API endpoint does not exist.")


def query_of(text: str) -> dict[str, list[str]]:
    """Return the parameters of a query string."""
    return parse_qs(text, keep_blank_values=True)
