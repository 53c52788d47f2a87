"""Every planted truth is found again in the data by SQL of its own; switched off, it is absent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest.demo import DemoCompany
from ingest.demo.planted import PlantedCompany, Truths, TruthTables
from ingest.demo.planted.draft import Draft
from ingest.demo.planted.outcomes import sales_after
from ingest.demo.tables import CompanyTables

# The firm's cards: new, qualified, measuring, estimate, contract, advance.
SALES = 7301014
ENTRY, QUALIFIED, MEASURING, ESTIMATE, CONTRACT, ADVANCE = range(61301001, 61301007)
PRICE, NO_ANSWER, WRONG_NUMBER, NOT_OURS, REGION = 9001, 9004, 9005, 9006, 9007
DAY = 86_400

VIEWS = f"""
create view moves as
select
    *,
    lead(changed_at) over of_deal as left_at,
    lead(to_stage_id) over of_deal as next_stage_id,
    n = max(n) over (partition by deal_id) as is_last
from stage_changes
window of_deal as (partition by deal_id order by n);

create view last_moves as select * from moves where is_last;

create view silent_users as
select distinct responsible_user_id as user_id
from deals
where responsible_user_id not in (select user_id from calls where user_id is not null);

-- New requests with a person, from first to last in the sales pipeline.
create view requests as
select
    deals.*,
    coalesce(last_moves.to_stage_id, deals.stage_id) as final_stage_id,
    last_moves.changed_at as last_moved_at,
    last_moves.changed_by as last_moved_by,
    last_moves.loss_reason_id as final_reason_id,
    responsible_user_id in (from silent_users) as is_silent,
    (created_at + 10800) % {DAY} // 3600 as hour
from deals
left join last_moves using (deal_id)
where
    kind = 'new'
    and deals.pipeline_id = {SALES}
    and contact_id is not null
    and deleted_at is null
    and merged_at is null
    and deal_id not in (select merged_into_deal_id from deals where merged_into_deal_id is not null)
    and deal_id not in (
        select deal_id from stage_changes
        where from_pipeline_id <> {SALES} or to_pipeline_id <> {SALES}
    )
    and deal_id not in (
        select deal_id from unsorted where resolved_at is null or not is_accepted
    );

create view talks as select * from calls where duration_seconds >= 30;

-- Calls out, those of one hour taken together.
create view attempts as
with gaps as (
    select
        *,
        called_at - lag(called_at) over (partition by deal_id order by called_at, call_id) as gap
    from calls
    where direction = 'out'
),

numbered as (
    select
        *,
        count(*) filter (where gap is null or gap >= 3600)
            over (partition by deal_id order by called_at, call_id) as attempt
    from gaps
)

select
    deal_id,
    attempt,
    min(called_at) as moment,
    bool_or(duration_seconds >= 30) as is_talk
from numbered
group by all;

create view answers as
select deal_id, min(moment) as answered_at
from (
    select deal_id, called_at as moment from calls where direction = 'out' or duration_seconds > 0
    union all
    select deal_id, sent_at from messages where direction = 'out' and author_id > 0
)
group by all;

-- Entries into a stage; a card put back within ten minutes was never there.
create view entries as
select deal_id, to_stage_id as stage_id, min(changed_at) as moment
from moves
where
    not coalesce(left_at - changed_at < 600 and next_stage_id in ({ENTRY}, {QUALIFIED}), false)
group by all;

create view evidence as
select deal_id, {ESTIMATE} as stage_id, sent_at as moment from documents where kind = 'offer'
union all
select deal_id, {CONTRACT}, sent_at from documents where kind = 'contract'
union all
select deal_id, {ADVANCE}, issued_at from invoices where is_advance;

create view money as
select
    invoices.*,
    coalesce(sum(payments.amount) filter (where not is_refund), 0) as paid,
    coalesce(bool_or(is_refund), false) as is_refunded
from invoices
left join payments using (invoice_id)
group by all;
"""


@dataclass
class Firm:
    """A firm under SQL, and what is said to be true of it."""

    planted: PlantedCompany
    sql: duckdb.DuckDBPyConnection

    @classmethod
    def of(cls, company: DemoCompany) -> Firm:
        planted = company.planted()
        sql = duckdb.connect()
        for name, table in planted.tables.items():
            rows = pa.array(range(table.num_rows), pa.int64())
            sql.register(f"{name}_rows", table.append_column("n", rows))
            sql.execute(f"create table {name} as from {name}_rows")
        sql.execute(VIEWS)
        sql.execute(f"create macro now_at() as {planted.tables.now}")
        sql.register("items", planted.truth.items)
        sql.register("sizes", planted.truth.sizes)
        return cls(planted, sql)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.sql.execute(query).fetchall()

    def one(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def ids(self, query: str) -> set[str]:
        return {str(row[0]) for row in self.rows(query)}

    def true(self, truth_id: str, **where: str) -> set[str]:
        also = "".join(f" and {column} = '{value}'" for column, value in where.items())
        return self.ids(
            f"select item_id from items where truth_id = '{truth_id}' and is_planted {also}"
        )

    def size(self, truth_id: str, parameter: str) -> float:
        return float(
            self.one(
                f"select value from sizes where truth_id = '{truth_id}'"
                f" and parameter = '{parameter}'"
            )
        )


SIZES = Truths()


@pytest.fixture(scope="module")
def firm() -> Firm:
    return Firm.of(DemoCompany(seed=20261121))


@pytest.fixture(scope="module")
def innocent() -> Firm:
    return Firm.of(DemoCompany(seed=20261121, leads=8000, truths=Truths.none()))


def near(found: int, of: int, size: float, errors: float = 4.0) -> bool:
    """Return whether a share is the planted one, give or take its standard errors."""
    spread = math.sqrt(size * (1 - size) / of)
    return abs(found / of - size) <= errors * spread


def agree(found: set[str], true: set[str], least: float = 0.97) -> bool:
    """Return whether two sets are the same but for a few."""
    both = len(found & true)
    return bool(true) and both >= least * len(true) and both >= least * len(found)


LATE = """
    select deal_id
    from requests
    inner join entries using (deal_id)
    inner join (
        select deal_id, stage_id as evident_stage_id, min(moment) as evident_at
        from evidence
        group by all
    ) using (deal_id)
    where entries.stage_id = evident_stage_id and moment - evident_at > 40 * 3600
    group by deal_id
"""


def test_late_recording(firm: Firm, innocent: Firm) -> None:
    late = firm.ids(LATE)
    reached = firm.one(
        f"select count(*) from requests"
        f" where deal_id in (select deal_id from entries where entries.stage_id = {ESTIMATE})"
    )
    assert near(len(late), reached, SIZES.late_recording)
    assert agree(late, firm.true("late_recording"))
    assert not innocent.ids(LATE)
    on_friday = firm.ids(
        f"""
        select deal_id || ':' || to_stage_id from stage_changes
        where isodow(make_timestamp((changed_at + 10800) * 1000000)) = 5
            and (changed_at + 10800) % {DAY} between 16 * 3600 and 19 * 3600
        """
    )
    assert firm.true("late_recording_stage", label="friday_evening") <= on_friday


PHANTOM = f"""
    select requests.deal_id || ':' || entries.stage_id
    from requests
    inner join entries using (deal_id)
    where
        entries.stage_id in ({ESTIMATE}, {CONTRACT})
        and entries.moment < now_at() - 8 * {DAY}
        and not exists (
            from evidence
            where evidence.deal_id = requests.deal_id and evidence.stage_id = entries.stage_id
                and evidence.moment - entries.moment between -30 * {DAY} and 7 * {DAY}
        )
"""


def test_phantom_stages(firm: Firm, innocent: Firm) -> None:
    unsold = firm.one(
        f"""
        select count(*) from requests
        where final_stage_id <> 142
            and deal_id in (select deal_id from entries
                            where stage_id = {ESTIMATE} and moment < now_at() - 8 * {DAY})
            and deal_id not in (select deal_id from entries
                                where stage_id = {ADVANCE}
                                    or (stage_id = {CONTRACT} and moment >= now_at() - 8 * {DAY}))
        """
    )
    found = firm.ids(PHANTOM)
    assert near(len(found), unsold, SIZES.phantom_stage)
    assert agree(found, firm.true("phantom_stage"))
    assert not innocent.ids(PHANTOM)


HIDDEN = f"""
    select distinct requests.deal_id || ':' || evidence.stage_id
    from requests
    inner join evidence using (deal_id)
    where
        evidence.stage_id <> {ADVANCE}
        and (deal_id, evidence.stage_id) not in (select (deal_id, stage_id) from entries)
"""


def test_hidden_stages(firm: Firm, innocent: Firm) -> None:
    found = firm.ids(HIDDEN)
    contracts = firm.one(
        f"select count(distinct deal_id) from requests inner join evidence using (deal_id)"
        f" where evidence.stage_id = {CONTRACT}"
    )
    assert near(len(found), contracts, SIZES.hidden_stage)
    assert agree(found, firm.true("hidden_stage"))
    assert not innocent.ids(HIDDEN)


SWEPT = """
    select changed_by, deal_id || ':143', changed_at
    from stage_changes
    where to_stage_id = 143 and changed_by > 0
    qualify
        count(*) over (
            partition by changed_by order by changed_at
            range between 900 preceding and 900 following
        ) >= 10
"""


def test_bulk_clean_ups(firm: Firm, innocent: Firm) -> None:
    swept = firm.rows(SWEPT)
    assert agree({row[1] for row in swept}, firm.true("bulk_cleanup"))
    evenings = {(row[0], row[2] // DAY) for row in swept}
    assert len(evenings) == SIZES.bulk_cleanup
    assert not innocent.rows(SWEPT)


SLOW = f"""
    select deal_id
    from requests
    inner join answers using (deal_id)
    where
        not is_silent
        and hour between 15 and 17
        and created_at < now_at() - 12 * {DAY}
        and (answered_at + 10800) // {DAY} > (created_at + 10800) // {DAY}
        and (answered_at + 10800) % {DAY} > 10.2 * 3600
"""


def test_slow_first_response_loses_sales(firm: Firm, innocent: Firm) -> None:
    slow = firm.ids(SLOW)
    assert agree(slow, firm.true("slow_first_response"))
    assert not innocent.ids(SLOW)
    firm.sql.execute(f"create or replace temp table slow as {SLOW}")
    # The like: answered in time, written to the site or typed in, and no truth of another kind.
    rates = {
        is_slow: (won, count)
        for is_slow, won, count in firm.rows(
            f"""
            select
                deal_id in (from slow) as is_slow,
                count(*) filter (where final_stage_id = 142),
                count(*)
            from requests
            inner join answers using (deal_id)
            where
                not is_silent
                and created_at < now_at() - 90 * {DAY}
                and answered_at > created_at + 60
                and deal_id not in (
                    select item_id::bigint from items
                    where truth_id in ('abandoned_follow_up') and is_planted
                )
            group by all
            """
        )
    }
    (won_slow, slow_count), (won_soon, soon_count) = rates[True], rates[False]
    soon = won_soon / soon_count
    expected = soon * (1 - SIZES.slow_first_response)
    assert near(won_slow, slow_count, expected)
    # The difference is no accident.
    assert not near(won_slow, slow_count, soon, errors=2.5)
    lost = firm.true("slow_first_response", label="lost_by_delay")
    would_have_won = len(lost) + firm.one(
        "select count(*) from slow inner join requests using (deal_id) where final_stage_id = 142"
    )
    assert len(lost) / would_have_won == pytest.approx(SIZES.slow_first_response, abs=0.02)


UNTOUCHED = f"""
    select requests.deal_id
    from requests
    anti join answers using (deal_id)
    where not is_silent and created_at < now_at() - 21 * {DAY}
"""
ACCEPTED = f"""
    select deal_id from stage_changes
    where from_stage_id = {ENTRY} and to_stage_id not in (142, 143) and changed_by > 0
"""


def old_requests(firm: Firm) -> int:
    return int(
        firm.one(
            f"select count(*) from requests"
            f" where not is_silent and created_at < now_at() - 21 * {DAY}"
        )
    )


def test_never_called_and_accepted_in_vain(firm: Firm, innocent: Firm) -> None:
    untouched, accepted = firm.ids(UNTOUCHED), firm.ids(ACCEPTED)
    of = old_requests(firm)
    assert agree(untouched, firm.true("never_called"))
    assert near(len(untouched & accepted), of, SIZES.handover_theatre)
    assert near(len(untouched - accepted), of, SIZES.never_called)
    assert agree(untouched & accepted, firm.true("handover_theatre"))
    assert not innocent.ids(UNTOUCHED)
    assert not untouched & firm.ids("select deal_id from requests where final_stage_id = 142")


ABANDONED = f"""
    select requests.deal_id
    from requests
    inner join attempts using (deal_id)
    where
        not is_silent
        and created_at < now_at() - 21 * {DAY}
        and not (final_stage_id = 143 and last_moved_by > 0)
        and deal_id not in (select deal_id from talks where deal_id is not null)
    group by requests.deal_id
    having count(*) = 1
"""


def test_abandoned_after_one_attempt(firm: Firm, innocent: Firm) -> None:
    found = firm.ids(ABANDONED)
    assert agree(found, firm.true("abandoned_follow_up"))
    assert near(len(found), old_requests(firm), SIZES.abandoned_follow_up)
    assert not innocent.ids(ABANDONED)


def test_yield_of_each_attempt_is_known(firm: Firm) -> None:
    yields = firm.rows(
        f"""
        with first_talks as (
            select deal_id, min(called_at) as moment from talks group by all
        ),

        tried as (
            select attempts.*, first_talks.moment as talked_at
            from attempts
            inner join requests using (deal_id)
            left join first_talks using (deal_id)
            where not is_silent and created_at < now_at() - 10 * {DAY}
        )

        select attempt, count(*), count(*) filter (
            where is_talk and (talked_at >= moment)
        )
        from tried
        where talked_at is null or talked_at >= moment
        group by all
        having attempt <= 3
        order by attempt
        """
    )
    assert len(yields) == 3
    for attempt, tried, reached in yields:
        assert near(reached, tried, firm.size("abandoned_follow_up", f"yield_of_attempt_{attempt}"))
    shares = [reached / tried for _, tried, reached in yields]
    assert shares == sorted(shares, reverse=True)


CONTRADICTED = f"""
    with facts as (
        select
            requests.*,
            (select max(duration_seconds) from calls
                where calls.deal_id = requests.deal_id and called_at <= last_moved_at) as talk,
            (select count(*) from attempts
                where attempts.deal_id = requests.deal_id and moment <= last_moved_at) as tried,
            (select count(distinct (moment + 10800) // {DAY}) from attempts
                where attempts.deal_id = requests.deal_id and moment <= last_moved_at) as days,
            exists (from documents where documents.deal_id = requests.deal_id
                and kind = 'offer' and sent_at <= last_moved_at) as has_offer,
            exists (from entries where entries.deal_id = requests.deal_id
                and entries.stage_id between {MEASURING} and {ADVANCE}) as is_qualified
        from requests
        where final_stage_id = 143 and last_moved_by > 0 and not is_silent
    )

    select deal_id
    from facts
    where
        (final_reason_id = {WRONG_NUMBER} and talk > 60)
        or (final_reason_id = {PRICE} and not has_offer)
        or (final_reason_id = {NO_ANSWER} and (tried < 3 or days < 2))
        or (final_reason_id in ({NOT_OURS}, {REGION}) and is_qualified)
"""


def test_loss_reasons_contradict_the_record(firm: Firm, innocent: Firm) -> None:
    found = firm.ids(CONTRADICTED)
    given = firm.one(
        "select count(*) from requests where final_stage_id = 143 and last_moved_by > 0"
        " and final_reason_id is not null and not is_silent and failing_criterion is null"
    )
    assert agree(found, firm.true("contradicted_loss_reason"))
    assert near(len(found), given, SIZES.contradicted_loss_reason)
    assert not innocent.ids(CONTRADICTED)
    kinds = firm.one(
        "select count(distinct label) from items where truth_id = 'contradicted_loss_reason'"
    )
    assert kinds == 4


CAMPAIGNS = """
    select
        ad_campaigns.campaign_id,
        count(requests.deal_id) as brought,
        count(*) filter (where final_stage_id = 142) as won
    from ad_campaigns
    left join requests on requests.utm_campaign = ad_campaigns.campaign_id::varchar
    group by all
"""


def test_a_campaign_spends_and_sells_nothing(firm: Firm, innocent: Firm) -> None:
    (wasted,) = firm.true("wasted_campaign")
    sold = {str(row[0]): row for row in firm.rows(CAMPAIGNS)}
    assert sold[wasted][1] > 50
    assert sold[wasted][2] == 0
    spent = firm.one(
        f"select sum(cost_micros) / 1e6 from ad_spend"
        f" where campaign_id = {wasted} and known_to_at is null"
    )
    assert spent == pytest.approx(firm.size("wasted_campaign", "spend"), rel=0.001)
    assert spent > 100_000
    assert {str(row[0]): row for row in innocent.rows(CAMPAIGNS)}[wasted][2] > 0


# Sales by the campaign of the last visit within 90 days before the request that was no direct one.
SOLD_AFTER = """
    select count(*)
    from (
        select
            deals.deal_id,
            arg_max(coalesce(visits.campaign_id, 0), visits.visited_at) as campaign_id
        from deals
        inner join last_moves using (deal_id)
        inner join contacts using (contact_id)
        inner join visits
            on
                contacts.person_id = visits.person_id
                and visits.visited_at <= deals.created_at
                and visits.visited_at > deals.created_at - 90 * 86400
                and visits.channel <> 'direct_visit'
        where last_moves.to_stage_id = 142 and deals.kind in ('new', 'repeat', 'continuation')
        group by deals.deal_id
    )
    where campaign_id = {campaign}
"""


@pytest.mark.parametrize(
    "seed",
    [
        *range(20261121, 20261125),
        *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(20261125, 20261141)),
    ],
)
def test_who_came_through_the_wasted_campaign_buys_nothing_later_either(seed: int) -> None:
    planted = Firm.of(DemoCompany(seed=seed, months=12, leads=4000))
    (wasted,) = planted.true("wasted_campaign")
    sold = planted.one(SOLD_AFTER.format(campaign=wasted))
    assert sold == planted.size("wasted_campaign", "won")
    assert sold == 0


def test_what_a_campaign_sold_is_counted(innocent: Firm) -> None:
    # Nothing is wasted here, so that there is something to count.
    draft = Draft(innocent.planted.tables)
    sold = {
        campaign: innocent.one(SOLD_AFTER.format(campaign=campaign))
        for (campaign,) in innocent.rows("select campaign_id from ad_campaigns order by 1")
    }
    assert sum(sold.values()) > 100
    assert {campaign: sales_after(draft, campaign) for campaign in sold} == sold


def test_wasted_spend_scales() -> None:
    spent = [
        Firm.of(DemoCompany(seed=3, months=3, leads=600, truths=Truths(wasted_campaign=size))).size(
            "wasted_campaign", "spend"
        )
        for size in (1.0, 2.5)
    ]
    assert spent[1] == pytest.approx(2.5 * spent[0], rel=0.001)


ASSISTED = """
    select distinct requests.deal_id
    from requests
    inner join visits on requests.client_id = visits.client_id
    where visits.utm_source = 'telegram' and visits.visited_at < requests.created_at
"""


def test_a_channel_only_assists(firm: Firm, innocent: Firm) -> None:
    assert firm.true("assisting_channel") == {"telegram"}
    assisted = firm.ids(ASSISTED)
    from_site = firm.one("select count(*) from requests where client_id is not null")
    assert 0.8 * SIZES.assisting_channel <= len(assisted) / from_site
    assert len(assisted) / from_site <= 1.1 * SIZES.assisting_channel
    assert firm.true("assisted_deal") <= assisted
    assert not firm.one("select count(*) from deals where utm_source = 'telegram'")
    firsts = firm.one(
        """
        select avg((utm_source = 'telegram')::int) from (
            select utm_source from visits semi join requests using (client_id)
            where client_id in (select client_id from visits where utm_source = 'telegram')
            qualify row_number() over (partition by client_id order by visited_at) = 1
        )
        """
    )
    assert firsts > 0.9
    assert not innocent.one("select count(*) from visits where utm_source = 'telegram'")


def test_non_target_requests(firm: Firm, innocent: Firm) -> None:
    missed = firm.ids("select deal_id from requests where not is_target")
    count = firm.one("select count(*) from requests")
    assert near(len(missed), count, SIZES.non_target)
    assert missed == firm.true("non_target")
    named = dict(
        firm.rows("select failing_criterion, count(*) from requests where not is_target group by 1")
    )
    for criterion in ("region", "product", "budget", "spam"):
        assert named[criterion] == firm.size("non_target", criterion)
    assert not firm.one(
        "select count(*) from requests where not is_target and final_stage_id = 142"
    )
    assert innocent.one("select count(*) from deals where not is_target") == 0
    assert innocent.one("select count(failing_criterion) from deals") == 0


OWED = f"""
    select invoice_id, amount - paid as balance
    from money
    inner join last_moves using (deal_id)
    where
        last_moves.to_stage_id = 142
        and not is_advance
        and deleted_at is null
        and not is_refunded
        and issued_at < now_at() - 60 * {DAY}
"""


def test_unpaid_invoices(firm: Firm, innocent: Firm) -> None:
    count, unpaid, owed = firm.rows(
        f"select count(*), count(*) filter (where balance > 0), sum(balance) from ({OWED})"
    )[0]
    assert near(unpaid, count, SIZES.unpaid_invoice)
    assert owed == firm.size("unpaid_invoice", "balance")
    assert firm.ids(f"select invoice_id from ({OWED}) where balance > 0") == firm.true(
        "unpaid_invoice"
    )
    assert not innocent.rows(f"from ({OWED}) where balance > 0")


def appointments(firm: Firm, channel: str, starts: int) -> list[tuple[int, int]]:
    """Return requests and those who came to a measuring within 30 days, before and after."""
    return [
        (count, reached)
        for _, count, reached in firm.rows(
            f"""
            select
                created_at >= {starts},
                count(*),
                count(*) filter (where reached_at - created_at <= 30 * {DAY})
            from requests
            left join (
                select deal_id, min(changed_at) as reached_at
                from stage_changes
                where to_stage_id between {MEASURING} and {ADVANCE} or to_stage_id = 142
                group by all
            ) using (deal_id)
            where channel = '{channel}' and created_at <= now_at() - 30 * {DAY}
            group by all
            order by 1
            """
        )
    ]


def started(firm: Firm, truth_id: str) -> tuple[str, int]:
    label, moment = firm.rows(
        f"select label, moment_at from items where truth_id = '{truth_id}' and is_planted"
    )[0]
    return label.split(":")[1], moment


def test_one_hypothesis_worked(firm: Firm) -> None:
    channel, starts = started(firm, "hypothesis_worked")
    (before, before_reached), (after, after_reached) = appointments(firm, channel, starts)
    was, became = before_reached / before, after_reached / after
    gone = 1 - was / became
    error = (was / became) * math.sqrt((1 - was) / before_reached + (1 - became) / after_reached)
    assert abs(gone - SIZES.hypothesis_worked) <= 3 * error
    assert gone > 2 * error


def test_one_hypothesis_failed(firm: Firm) -> None:
    channel, starts = started(firm, "hypothesis_failed")
    (before, before_reached), (after, after_reached) = appointments(firm, channel, starts)
    was, became = before_reached / before, after_reached / after
    error = math.sqrt(was * (1 - was) / before + became * (1 - became) / after)
    assert abs(became - was) <= 3 * error


def test_nothing_worked_where_it_is_off(innocent: Firm) -> None:
    starts = innocent.planted.tables.now - 200 * DAY
    (before, before_reached), (after, after_reached) = appointments(innocent, "seo", starts)
    was, became = before_reached / before, after_reached / after
    error = math.sqrt(was * (1 - was) / before + became * (1 - became) / after)
    assert abs(became - was) <= 3 * error
    assert not innocent.one("select count(*) from items where item_type = 'hypothesis'")


def test_regression_to_the_mean(firm: Firm) -> None:
    rep, starts = started(firm, "hypothesis_regression")
    rates = firm.rows(
        f"""
        select
            created_at >= {starts},
            count(*),
            count(*) filter (where final_stage_id = 142)
        from requests
        where
            responsible_user_id = {rep}
            and created_at between {starts} - 30 * {DAY} and {starts} + 30 * {DAY} - 1
        group by all
        order by 1
        """
    )
    (_, before, before_won), (_, after, after_won) = rates
    assert after_won / after > 1.5 * before_won / before
    # All his time he sells as everybody does.
    others, count, won = firm.rows(
        f"""
        select
            count(*) filter (where final_stage_id = 142) / count(*),
            count(*) filter (where responsible_user_id = {rep}),
            count(*) filter (where responsible_user_id = {rep} and final_stage_id = 142)
        from requests
        where created_at < now_at() - 60 * {DAY}
        """
    )[0]
    assert near(won, count, others)


STALE = "select platform, max(known_from_at) from ad_spend group by all"


def test_a_source_went_stale(firm: Firm, innocent: Firm) -> None:
    told = dict(firm.rows(STALE))
    assert firm.true("stale_source") == {"vk_ads"}
    gap = (told["yandex_direct"] - told["vk_ads"]) / DAY
    assert SIZES.stale_source - 1 <= gap <= SIZES.stale_source + 1
    fresh = dict(innocent.rows(STALE))
    assert fresh["yandex_direct"] - fresh["vk_ads"] < DAY


def test_events_are_lost(firm: Firm, innocent: Firm) -> None:
    shown = "select count(*), count(*) - count(published_at) from stage_changes"
    count, lost = firm.rows(shown)[0]
    assert near(lost, count, SIZES.lost_events)
    assert innocent.rows(shown)[0][1] == 0
    holes = firm.ids("select deal_id from stage_changes where published_at is null")
    assert holes == firm.true("lost_events")


TWICE = f"""
    select
        strftime(make_timestamp(day * {DAY} * 1000000), '%Y-%m-%d'),
        count(*),
        count(*) filter (where times > 1)
    from (
        select
            (called_at + 10800) // {DAY} as day,
            count(*) as times
        from calls
        group by deal_id, contact_id, called_at, duration_seconds, direction
    )
    group by all
    having count(*) filter (where times > 1) > 0.5 * count(*)
"""


def test_a_load_was_delivered_twice(firm: Firm, innocent: Firm) -> None:
    days = firm.rows(TWICE)
    assert len(days) == SIZES.doubled_load
    assert {f"calls:{day}" for day, _, _ in days} == firm.true("doubled_load")
    assert sum(row[1] for row in days) == firm.size("doubled_load", "rows")
    assert firm.one("select count(*) - count(distinct call_id) from calls") == 0
    assert not innocent.rows(TWICE)


REPS = f"""
    select
        responsible_user_id,
        count(*) as deals,
        count(*) filter (where final_stage_id = 142) as won
    from requests
    where created_at < now_at() - 60 * {DAY} and not is_silent
    group by all
    having count(*) > 50
"""


def test_one_star_among_equals(firm: Firm, innocent: Firm) -> None:
    (star,) = firm.true("star_sales_rep")
    reps = {str(rep): (deals, won) for rep, deals, won in firm.rows(REPS)}
    deals, won = reps.pop(star)
    others_deals = sum(row[0] for row in reps.values())
    others = sum(row[1] for row in reps.values()) / others_deals
    assert near(won, deals, SIZES.star_sales_rep * others)
    assert not near(won, deals, others, errors=3)
    for deals, won in reps.values():
        assert near(won, deals, others)
    equals = [(deals, won) for _, deals, won in innocent.rows(REPS)]
    mean = sum(won for _, won in equals) / sum(deals for deals, _ in equals)
    assert all(near(won, deals, mean) for deals, won in equals)


LOOK_ALIKES = {
    "honest_same_day_deal": f"""
        select deal_id from requests
        where final_stage_id = 142
            and (created_at + 10800) // {DAY} = (last_moved_at + 10800) // {DAY}
            and exists (from calls where calls.deal_id = requests.deal_id)
            and exists (from payments inner join invoices using (invoice_id)
                where invoices.deal_id = requests.deal_id and paid_at <= last_moved_at)
    """,
    "robot_move_on_payment": """
        select stage_changes.deal_id
        from stage_changes
        inner join invoices using (deal_id)
        inner join payments using (invoice_id)
        where to_stage_id = 142 and changed_by = 0 and changed_at - paid_at between 0 and 600
    """,
    "correction_within_minutes": f"""
        select deal_id || ':' || to_stage_id
        from moves
        where to_stage_id = {ESTIMATE} and left_at - changed_at < 600
            and next_stage_id = {QUALIFIED}
    """,
    "holiday_gap": f"""
        select deal_id from requests inner join answers using (deal_id)
        where answered_at - created_at > {DAY}
    """,
    "rep_without_telephony": "select deal_id from requests where is_silent",
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_look_alikes_are_there_and_marked(firm: Firm, name: str) -> None:
    marked = firm.ids(
        f"select item_id from items where look_alike = '{name}' and not is_planted"
        " and item_type <> 'sales_rep'"
    )
    assert len(marked) >= 10
    assert marked <= firm.ids(LOOK_ALIKES[name])
    assert not marked & firm.ids(
        "select item_id from items where is_planted and truth_id in"
        f" (select truth_id from items where look_alike = '{name}')"
    )


# What must be empty where a truth is off, whatever else is planted.
ABSENT = {
    "late_recording": LATE,
    "hidden_stage": HIDDEN,
    "slow_first_response": SLOW,
    "never_called": f"{UNTOUCHED} and deal_id not in ({ACCEPTED})",
    "contradicted_loss_reason": CONTRADICTED,
    "assisting_channel": ASSISTED,
    "unpaid_invoice": f"select invoice_id from ({OWED}) where balance > 0",
    "lost_events": "select deal_id from stage_changes where published_at is null",
    "phantom_stage": PHANTOM,
    "bulk_cleanup": SWEPT,
    "handover_theatre": f"{UNTOUCHED} and deal_id in ({ACCEPTED})",
    "abandoned_follow_up": ABANDONED,
    "non_target": "select deal_id from requests where not is_target",
    "stale_source": f"""
        select platform from ad_spend group by all
        having max(known_from_at) < now_at() - {DAY}
    """,
    "doubled_load": TWICE,
}


@pytest.mark.parametrize("half", [0, 1])
def test_each_switch_switches_its_own_truth(half: int) -> None:
    """Half of the truths are off and leave no trace beside the other half."""
    off = list(ABSENT)[half::2]
    truths = SIZES.without(*off)
    firm = Firm.of(DemoCompany(seed=4, months=12, leads=3000, truths=truths))
    found = {name: bool(firm.rows(query)) for name, query in ABSENT.items()}
    assert found == {name: name not in off for name in ABSENT}
    named = firm.ids("select truth_id from items where is_planted union select truth_id from sizes")
    # Who was accepted in vain was not called either.
    assert named & set(off) <= {"never_called"}


def test_a_person_is_a_set_of_contacts_and_browsers(firm: Firm) -> None:
    kinds = dict(
        firm.rows("select label, count(*) from items where truth_id = 'person_identity' group by 1")
    )
    assert kinds["contact"] == firm.one("select count(*) from contacts")
    assert kinds["client_id"] > 0
    channels = firm.one("select count(*) from items where truth_id = 'deal_channel'")
    assert channels == firm.one("select count(channel) from deals")


def test_the_world_stays_whole(firm: Firm) -> None:
    """A deal made lost has no money, a customer who never was orders nothing again."""
    assert not firm.rows(
        """
        select invoice_id from money inner join last_moves using (deal_id)
        where last_moves.to_stage_id = 143 and paid > 0 and not is_refunded
        """
    )
    assert not firm.rows(
        """
        select deal_id from deals as again
        where kind = 'repeat' and not exists (
            from deals as first
            inner join stage_changes using (deal_id)
            where first.contact_id = again.contact_id and to_stage_id = 142
                and changed_at < again.created_at
        )
        and not exists (
            from contacts as mine inner join contacts as other using (person_id)
            where mine.contact_id = again.contact_id and other.contact_id <> mine.contact_id
        )
        """
    )
    for table, column in (
        ("calls", "called_at"),
        ("documents", "sent_at"),
        ("tasks", "created_at"),
        ("invoices", "issued_at"),
        ("messages", "sent_at"),
    ):
        early = firm.one(
            f"select count(*) from {table} inner join deals using (deal_id)"
            f" where {table}.{column} < deals.created_at"
        )
        assert early == 0, table
    for table in ("calls", "messages", "tasks", "invoices", "documents", "unsorted"):
        strangers = firm.one(f"select count(*) from {table} anti join deals using (deal_id)"
                             f" where deal_id is not null")  # fmt: skip
        assert strangers == 0, table


def test_the_firm_stays_plausible(firm: Firm) -> None:
    won, count = firm.rows(
        "select count(*) filter (where to_stage_id = 142), (select count(*) from deals)"
        " from last_moves"
    )[0]
    assert 0.08 <= won / count <= 0.15


def test_same_seed_gives_the_same_bytes() -> None:
    def bytes_of(company: DemoCompany) -> list[bytes]:
        planted = company.planted()
        tables: list[pa.Table] = [table for _, table in planted.tables.items()]
        tables += [planted.truth.items, planted.truth.sizes]
        written = []
        for table in tables:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table.combine_chunks())
            written.append(sink.getvalue().to_pybytes())
        return written

    first, second = (bytes_of(DemoCompany(seed=11, months=4, leads=700)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("months", "leads"), [(1, 20), (3, 200)])
def test_small_firms_carry_what_they_can(months: int, leads: int) -> None:
    planted = DemoCompany(months=months, leads=leads).planted()
    assert planted.tables.deals.num_rows <= leads


def test_tables_are_those_of_the_planted_firm() -> None:
    company = DemoCompany(seed=5, months=2, leads=150)
    assert company.tables() == company.planted().tables
    assert company.tables() != company.world()


def test_truth_tables_come_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    truth = DemoCompany(seed=5, months=2, leads=150).planted().truth
    truth.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "truth_items.parquet",
        "truth_sizes.parquet",
    ]
    again = TruthTables.load(tmp_path)
    assert again.items.equals(truth.items)
    assert again.sizes.equals(truth.sizes)


def test_a_size_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="never_called"):
        Truths(never_called=-0.1)


def test_one_truth_alone() -> None:
    company = DemoCompany(seed=5, months=4, leads=900, truths=SIZES.only("never_called"))
    tables: CompanyTables = company.planted().tables
    assert tables.stage_changes.column("published_at").null_count == 0
    named = set(company.planted().truth.sizes.column("truth_id").to_pylist())
    assert named == {"never_called"}
