"""A card's SQL as Metabase sends it: filters filled in, optional blocks kept or dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestration.lib.metabase.desired import DesiredCard

_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def sent(card: DesiredCard, chosen: Mapping[str, str] | None = None) -> str:
    """Return the SQL of `card` with `chosen` filter values, by default those of its tags."""
    fields = {tag.name: tag.field for tag in card.tags}
    values: dict[str, Any] = {
        tag.name: tag.default[0] if isinstance(tag.default, list) else None
        for tag in card.tags
        if tag.default is not None
    }
    values |= chosen or {}

    def condition(match: re.Match[str]) -> str:
        field, value = fields[match[1]], values.get(match[1])
        if value is None:
            return "1 = 1"
        quoted = value.replace("'", "''")
        return f'cast("marts"."{field.table}"."{field.column}" as varchar) = \'{quoted}\''

    def optional(match: re.Match[str]) -> str:
        wanted = _TAG.findall(match[1])
        return match[1] if all(values.get(name) is not None for name in wanted) else ""

    return _TAG.sub(condition, _OPTIONAL.sub(optional, card.sql))
