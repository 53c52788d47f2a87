"""What no schema knows (api.md 0): the checker that every request passes."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake.web import Call


class Checker:
    """Finds what a server takes without a word and shows wrong."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake

    def findings(self, call: Call, template: str) -> list[str]:
        """Return what is wrong with a request."""
        return []
