"""SQL that one engine lacks, or reads otherwise, is named with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.lib.cards.portability import portability_findings
from tests.unit.metabase.files import card, column, only_card


def findings(sql: str) -> list[str]:
    content: Any = card("one", "table", sql, {"x": column("X")})
    return portability_findings(only_card(content))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select arg_max(a, b) as x from marts.t", "calls arg_max(), which one of the two"),
        ("select strftime(a, '%Y') as x from marts.t", "give the column a format instead"),
        ("select a - interval 2 month as x from marts.t", "interval '1 month' with quotes"),
        ("select median(a) as x from marts.t", "percentile_cont(0.5) within group"),
        ("select date_diff('day', a, b) as x from marts.t", "allowed: abs, avg"),
        ("select a_count / b_count as x from marts.t", "PostgreSQL would cut the fraction off"),
        ("select count(*) / 2 as x from marts.t", "cast(a as double precision) / b"),
        ("select a // 2 as x from marts.t", "write floor(a / b)"),
        ("select null::double as x from marts.t", "casts to double; write double precision"),
        ("select cast(a as hugeint) as x from marts.t", "casts to hugeint; allowed: bigint"),
        ("select a as x from marts.t qualify row_number() over (order by a) = 1", "has qualify"),
        ("select a as x, count(*) from marts.t group by all", "group by all; name the columns"),
        ("select * exclude (b) from marts.t", "name them"),
        ("select columns('a') from marts.t", "name them"),
        ("select a as x from marts.t using sample 3", "takes a sample"),
        ("select a as x from marts.t semi join marts.u using (a)", "has a semi regular join"),
        ("select a as x from marts.t order by a desc", "write desc nulls last"),
        ("select row_number() over (order by a desc) as x from marts.t", "desc nulls last"),
        ("select a as x from marts.t where (a, b) in (select (c, d) from marts.u)",
         "compare columns one by one"),
        ("select list(a) as x from marts.t", "string_agg"),
    ],
)  # fmt: skip
def test_what_the_engines_do_not_share_is_named(sql: str, said: str) -> None:
    assert any(said in one for one in findings(sql)), findings(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select sum(a_count) / nullif(sum(b_count), 0) as x from marts.t",
        "select cast(a as double precision) / b as x from marts.t",
        "select a_amount / nullif(b_count, 0) as x from marts.t",
        "select 100.0 * a / b as x from marts.t",
        "select a - interval '2 month' as x from marts.t order by a desc nulls last",
        "select string_agg(distinct a, '+' order by a) filter (where b) as x from marts.t",
        "select percentile_cont(0.5) within group (order by a) as x from marts.t",
        "select lag(a, 1, 'entry') over (partition by b order by c) as x from marts.t",
        "select u.* from marts.t as u left join marts.v using (a)",
        "select a as x from marts.t group by grouping sets ((a), (a, b)) having grouping(b) = 1",
        "select position(a in 'abc') || lower(b) as x from marts.t where b ilike '%x%'",
        "select extract(year from a) as x, date_trunc('month', a) as y from marts.t",
    ],
)
def test_what_both_engines_read_alike_passes(sql: str) -> None:
    assert findings(sql) == []
