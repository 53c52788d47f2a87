"""Cards as data: the schema of `dashboards/<name>.yaml`, its checks, and a card's SQL ready to run.

A dashboard file says what an owner sees; the HTML page and Metabase are two renderers of it. So
nothing here knows of HTML or of an API: a file is read, every mistake is named with file, line,
key and the values allowed, and each card's SQL is proved to be one `select` over `marts.*`.

    owner.yaml
      name, order, title, description, owner, methodology, exposure
      filters:   {period: {label, kind: category | week | month | date, default, values}}
      tabs:      [{key, title, cards: [...]}]
    a card
      key, title, description, display, sql, columns, layout, filters, empty, tier
      opens, expects_rows, metabase: {display, settings}
      and what its display needs (dimension, metrics, step, value, ...)
    a column
      label, format, values, tones, bar, tier, source
      link (opens the CRM) or opens + passes (opens the list behind the number)
    between cards: display heading (a title) and note (a fixed text)

SQL takes filters the way Metabase does: `{{period}}` stands for a condition on the column that the
card binds (`filters: {period: rpt_owner_panel.period_type}`), `[[and {{channel}}]]` is left out
when nothing is chosen. A filter with a default always holds a value. One text of SQL is read by
DuckDB and PostgreSQL, so what only one of them knows, or both read differently, is refused
(`portability`); `contracts` proves a card before anything is built, `published` against a file.
"""

from orchestration.lib.cards.parts import (
    GRID_COLUMNS,
    LOCALES,
    METABASE_SETTINGS,
    NUMERIC_FORMATS,
    TIME_FORMATS,
    VOCABULARY,
    Better,
    CardError,
    Column,
    Filter,
    Format,
    Layout,
    Locale,
    Localised,
    LocalisedColumn,
    MetabaseOverride,
    Tier,
    Tone,
)
from orchestration.lib.cards.published import (
    check_against,
    check_dashboards,
    open_serve_file,
)
from orchestration.lib.cards.reading import (
    read_dashboard,
    read_dashboards,
    read_vocabulary,
)
from orchestration.lib.cards.schema import (
    Card,
    CardBase,
    ChartCard,
    Condition,
    Dashboard,
    DashboardFile,
    FunnelCard,
    HeadingCard,
    HeadlineCard,
    HeadlineMetric,
    MatrixCard,
    NoteCard,
    NumberCard,
    Owner,
    Piece,
    Placed,
    ProgressCard,
    Tab,
    TableCard,
    TextCard,
    TextChoice,
    Vocabulary,
)
from orchestration.lib.cards.sql import (
    bound_sql,
    literal,
    placeholders,
    sql_findings,
    template_tags,
)

__all__ = [
    "GRID_COLUMNS",
    "LOCALES",
    "METABASE_SETTINGS",
    "NUMERIC_FORMATS",
    "TIME_FORMATS",
    "VOCABULARY",
    "Better",
    "Card",
    "CardBase",
    "CardError",
    "ChartCard",
    "Column",
    "Condition",
    "Dashboard",
    "DashboardFile",
    "Filter",
    "Format",
    "FunnelCard",
    "HeadingCard",
    "HeadlineCard",
    "HeadlineMetric",
    "Layout",
    "Locale",
    "Localised",
    "LocalisedColumn",
    "MatrixCard",
    "MetabaseOverride",
    "NoteCard",
    "NumberCard",
    "Owner",
    "Piece",
    "Placed",
    "ProgressCard",
    "Tab",
    "TableCard",
    "TextCard",
    "TextChoice",
    "Tier",
    "Tone",
    "Vocabulary",
    "bound_sql",
    "check_against",
    "check_dashboards",
    "literal",
    "open_serve_file",
    "placeholders",
    "read_dashboard",
    "read_dashboards",
    "read_vocabulary",
    "sql_findings",
    "template_tags",
]
