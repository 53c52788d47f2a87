"""Requests held against Metabase's own OpenAPI documents (api.md 0).

The documents are test data that stands beside this repository; where it is absent nothing is
validated and `documents()` says so. Two mechanical fixes make them usable as validators: what has a
default is not required (the server fills it), and `oneOf` is read as `anyOf` (the generator wrote
the one for the other).
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_FOLDER = Path(__file__).resolve().parents[4] / "shared" / "metabase"
_NAMES = ("openapi.json", "openapi-2026-03.json")
_VARIABLE = re.compile(r"\{[^}]+\}")
# Operations a server answers that the documents leave out (api.md 1), and the unversioned ones.
_UNDOCUMENTED = {("GET", "/api/health"), ("POST", "/api/notify/db/{}")}
ABSENT = "Metabase's OpenAPI documents are not beside this repository (../shared/metabase)"


def is_present() -> bool:
    """Return whether the documents can be read."""
    return all((_FOLDER / name).is_file() for name in _NAMES)


@functools.cache
def documents() -> tuple[Specification, ...]:
    """Return both documents, ready to validate; nothing where they are absent."""
    if not is_present():
        return ()
    return tuple(Specification(_FOLDER / name) for name in _NAMES)


class Specification:
    """One of the documents."""

    def __init__(self, path: Path) -> None:
        document = orjson.loads(path.read_bytes())
        self.name = path.name
        self._bodies: dict[tuple[str, str], Any] = {}
        for template, operations in document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema")
                self._bodies[method.upper(), _shape(template)] = _fixed(schema)
        root = {"components": {"schemas": _fixed(document["components"]["schemas"])}}
        resource = Resource.from_contents(root, default_specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:metabase", resource)
        self._validators: dict[tuple[str, str], Draft202012Validator | None] = {}

    def properties(self, method: str, template: str) -> frozenset[str] | None:
        """Return the keys a body may have; None: any, or no such operation."""
        schema = self._bodies.get((method, _shape(template)))
        if not isinstance(schema, dict) or not schema.get("properties"):
            return None
        return frozenset(schema["properties"])

    def findings(self, method: str, template: str, body: Any) -> list[str]:
        """Return what a request breaks.

        Args:
            method: In capitals.
            template: The route, such as `/api/card/{id}`.
            body: The parsed body; None without one.
        """
        key = (method, _shape(template))
        if key not in self._bodies:
            return (
                [] if key in _UNDOCUMENTED else [f"{self.name}: no operation {method} {template}"]
            )
        if key not in self._validators:
            schema = self._bodies[key]
            self._validators[key] = (
                None if schema is None else Draft202012Validator(schema, registry=self._registry)
            )
        validator = self._validators[key]
        if validator is None or body is None:
            return []
        return [
            f"{self.name}: {method} {template}: {'/'.join(str(part) for part in error.path)}:"
            f" {error.message[:200]}"
            for error in validator.iter_errors(body)
        ]


def _shape(template: str) -> str:
    """Return a path with nameless variables; one document ends some paths with a slash."""
    return _VARIABLE.sub("{}", template).rstrip("/")


def _fixed(schema: Any) -> Any:
    """Return a schema with the two fixes and references that a registry finds."""
    if isinstance(schema, list):
        return [_fixed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    fixed = {
        ("anyOf" if name == "oneOf" else name): _fixed(value) for name, value in schema.items()
    }
    if isinstance(fixed.get("$ref"), str):
        fixed["$ref"] = "urn:metabase" + fixed["$ref"]
    required, properties = fixed.get("required"), fixed.get("properties")
    if isinstance(required, list) and isinstance(properties, dict):
        fixed["required"] = [
            name
            for name in required
            if not (isinstance(properties.get(name), dict) and "default" in properties[name])
        ]
    return fixed
