"""What every part of the fake server has: the server, and its state as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.metabase.fake.state import Row, State


class Part:
    """A part of the fake server; `fake.state` may be replaced, so it is never kept."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake

    @property
    def _state(self) -> State:
        state: State = self._fake.state
        return state


def found(rows: Mapping[int, Row], number: Any) -> Row | None:
    """Return the row that a path names by id or by entity id."""
    if str(number).isdigit():
        return rows.get(int(number))
    return next((one for one in rows.values() if one["entity_id"] == number), None)
