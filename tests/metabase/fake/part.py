"""What every part of the fake server has: the server, and its state as it is now."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake.state import State


class Part:
    """A part of the fake server; `fake.state` may be replaced, so it is never kept."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake

    @property
    def _state(self) -> State:
        state: State = self._fake.state
        return state
