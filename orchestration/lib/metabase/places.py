"""Places on the 24-column grid, and the cards that are words alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orchestration.lib.cards import Layout

# What fits into one column of the grid on one line, and a line's share of a row, both on the safe
# side: a text card that is too low gets a bar to scroll.
_SIGNS_PER_COLUMN = 6
_LINES_PER_ROW = 2


def places(pieces: Sequence[tuple[Layout, int]], top: int) -> list[Layout]:
    """Return where pieces stand when each is as high as its display needs.

    Args:
        pieces: Place in the file and least height.
        top: Rows already taken above.

    Returns:
        Places in the same order; what stood below a piece still does, so nothing overlaps.
    """
    order = sorted(range(len(pieces)), key=lambda at: pieces[at][0].row)
    rows: dict[int, int] = {}
    ends: list[tuple[int, int]] = []
    for at in order:
        box, least = pieces[at]
        if box.row not in rows:
            pushed = max((end for old_end, end in ends if old_end <= box.row), default=0)
            rows[box.row] = max(box.row + top, pushed)
        ends.append((box.row + box.height, rows[box.row] + max(box.height, least)))
    return [
        box.model_copy(update={"row": rows[box.row], "height": max(box.height, least)})
        for box, least in pieces
    ]


def text_rows(text: str, width: int) -> int:
    """Return how many grid rows a text takes on a card of `width` columns."""
    lines = -(-len(text) // (width * _SIGNS_PER_COLUMN))
    return -(-lines // _LINES_PER_ROW)


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!<>|~&])")


def markdown(text: str) -> str:
    """Return `text` so that Markdown shows it as it stands: no link, no markup, no HTML."""
    return _MARKDOWN.sub(r"\\\1", text)


def virtual(display: str, text: str) -> dict[str, Any]:
    """Return the settings of a place that shows words: "text" (Markdown) or "heading"."""
    return {
        "virtual_card": {
            "name": None,
            "display": display,
            "visualization_settings": {},
            "dataset_query": {},
            "archived": False,
        },
        "text": text,
    }
