"""What a card says in one language: rows of a result turned into words, numbers and geometry.

Templates and the terminal only write down what stands here; nothing is computed in a template.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.lib.cards import (
    ChartCard,
    FunnelCard,
    HeadlineCard,
    MatrixCard,
    NumberCard,
    ProgressCard,
    TableCard,
    TextCard,
)
from orchestration.lib.page_view_panel import (
    fill,
    headline_view,
    number_view,
    progress_view,
    text_view,
)
from orchestration.lib.page_view_tables import (
    chart_view,
    funnel_view,
    matrix_view,
    safe_link,
    table_view,
)
from orchestration.lib.page_view_types import Jump, Row, Scribe, Table, View


def view(scribe: Scribe, rows: Sequence[Row]) -> View:
    """Return what the card of `scribe` says about `rows`.

    Args:
        scribe: The card in one language.
        rows: Its result.

    Returns:
        The view for the template and the terminal.
    """
    match scribe.card:
        case NumberCard() as card:
            return number_view(scribe, card, rows)
        case HeadlineCard() as card:
            return headline_view(scribe, card, rows)
        case ProgressCard() as card:
            return progress_view(scribe, card, rows)
        case TextCard() as card:
            return text_view(scribe, card, rows)
        case TableCard() as card:
            return table_view(scribe, card, rows)
        case ChartCard() as card:
            return chart_view(scribe, card, rows)
        case FunnelCard() as card:
            return funnel_view(scribe, card, rows)
        case MatrixCard() as card:
            return matrix_view(scribe, card, rows)
        case other:
            raise TypeError(f"no view for a card of display {type(other).__name__}")


__all__ = ["Jump", "Row", "Scribe", "Table", "View", "fill", "safe_link", "view"]
