"""Registered measures on the tiny firm of conftest.py, whose scores are counted by hand.

Deals: 101 (person 1, seo, 1 -> 2 -> 3 on one day, won 1 February 00:30 in Moscow for 120), 102
(person 2, vk, lost next day, "Дорого"), 103 (a second card of person 1, won for 30), 104 (a test),
105 (gone). Invoices: 1 of 120 paid in full, 2 of 30 paid 10.
"""

from __future__ import annotations

import duckdb
import pytest

from orchestration.lib.benchmark.judging import Judgement, judge
from orchestration.lib.benchmark.measures import MEASURES


@pytest.fixture
def company(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Return the truth, and the marts and staged tables of a pipeline that makes no mistake."""
    for schema in ("marts", "staging", "raw_amocrm"):
        connection.execute(f"create schema {schema}")
    connection.execute("""
        create table marts.dim_deals as
        select
            'amocrm:900:' || deal_id as deal_key,
            deal_id,
            pipeline_id,
            kind as deal_kind,
            channel
        from truth.deals
        where not is_gone
    """)
    connection.execute("""
        create table marts.dim_pipeline_stages as
        select '3001' as pipeline_id, 'sales' as pipeline_role
    """)
    connection.execute("""
        create table marts.fct_deal_stage_transitions as
        select
            'amocrm:900:' || deal_id as deal_key,
            change_number + 1 as transition_number,
            from_stage_id,
            to_stage_id,
            'forward' as direction
        from truth.stage_changes
        union all
        select 'amocrm:900:' || deal_id, 1, null, '1', 'entry' from truth.deals
    """)
    connection.execute("""
        create table staging.stg_amocrm__events as
        select
            deal_id || change_number as record_id,
            deal_id as entity_id,
            'lead_status_changed' as event_type,
            8001 as created_by,
            from_stage_id as before_status_id,
            to_stage_id as after_status_id,
            changed_at as created_at
        from truth.stage_changes
    """)
    connection.execute("""
        create table staging.stg_amocrm__leads as
        select
            deal_id as record_id,
            pipeline_id,
            case outcome when 'won' then '142' when 'lost' then '143' else '1' end as status_id,
            contact_id as main_contact_id,
            cast(null as varchar) as loss_reason_id,
            cast(null as varchar) as utm_source,
            cast(null as varchar) as utm_medium,
            amount as price,
            created_at,
            closed_at,
            false as is_deleted
        from truth.deals
        where not is_gone
    """)
    return connection


def judged(connection: duckdb.DuckDBPyConnection, measure_id: str) -> Judgement:
    (measure,) = [one for one in MEASURES if one.measure_id == measure_id]
    (judgement,) = judge(connection, [measure])
    return judgement


def scores(judgement: Judgement) -> tuple[object, object]:
    assert judgement.ours.score is not None
    assert judgement.naive is not None
    assert judgement.naive.score is not None
    return dict(judgement.ours.score.values), dict(judgement.naive.score.values)


def test_daily_snapshots_lose_the_moves_of_a_day(company):
    # Of five moves the snapshots hold 101: 3 (10 January), 142 (31 January, UTC); 102 and 103 have
    # one day each and no day before it. One move is seen, 3 -> 142, and it is a true one.
    judgement = judged(company, "stage_moves")
    assert judgement.item_count == 5
    assert scores(judgement) == (
        {"precision": 1.0, "recall": 1.0},
        {"precision": 1.0, "recall": 0.2},
    )


def test_a_client_with_a_second_card_is_new_to_who_counts_cards(company):
    ours, naive = scores(judged(company, "deal_kind_repeat"))
    assert ours == {"precision": 1.0, "recall": 1.0}
    assert naive == {"precision": None, "recall": 0.0}


@pytest.mark.parametrize(
    ("closed_at", "misplaced"),
    [
        # In Moscow 5 March; the pull of the next morning shows it, in the same month.
        ("2026-03-05 07:00:00", 0.0),
        # In Moscow the evening of 31 March: what the pull of 1 April brings first is April's.
        ("2026-03-31 18:00:00", 0.2),
        # In Moscow 1 April, two hours before that pull.
        ("2026-04-01 03:00:00", 0.0),
    ],
)
def test_a_sale_dated_by_its_upload_leaves_its_month_if_it_was_the_last_night(
    company, closed_at, misplaced
):
    # Of 150 in all 103 is 30; 101 is of the night to 1 February, whose pull is February's too.
    company.execute(
        "create table told as select * replace ("
        f" if(deal_id = '103', timestamp '{closed_at}', closed_at) as closed_at) from truth.deals"
    )
    company.execute("drop view truth.deals")
    company.execute("create table truth.deals as from told")
    company.execute(
        f"update staging.stg_amocrm__leads set closed_at = '{closed_at}' where record_id = '103'"
    )
    company.execute(
        "create table marts.rpt_owner_panel as"
        " select"
        "     'sold' as metric_id,"
        "     'month' as period_type,"
        "     cast(date_trunc('month', closed_at + interval 3 hour) as date) as period_start_date,"
        "     amount as value"
        " from truth.deals where outcome = 'won'"
        " union all select 'sold', 'week', date '2026-01-26', 120.00"
    )
    judgement = judged(company, "sold")
    assert judgement.item_count == 2
    assert scores(judgement) == ({"misplaced": 0.0}, {"misplaced": misplaced})


def test_money_owed_is_the_rest_and_not_the_bill(company):
    company.execute(
        "create table marts.fct_invoices as select * from (values"
        " ('amocrm:900:1', 0.00, false), ('amocrm:900:2', 20.00, false),"
        " ('amocrm:900:3', 50.00, true)"
        ") as invoices (invoice_key, balance_amount, is_deleted)"
    )
    company.execute(
        "create table staging.stg_amocrm__invoices as select * from (values"
        " ('1', 'paid', 120.00, false), ('2', 'partially_paid', 30.00, false),"
        " ('3', 'created', 50.00, true)"
        ") as invoices (record_id, status_code, price, is_deleted)"
    )
    assert scores(judged(company, "unpaid_invoice")) == (
        {"precision": 1.0, "recall": 1.0},
        {"precision": None, "recall": 0.0},
    )
    judgement = judged(company, "owed")
    assert judgement.ours.score.parts == {"true": 20.0, "said": 20.0}
    assert scores(judgement) == ({"error": 0.0}, {"error": None})


def test_a_campaign_that_sells_nothing_is_not_in_an_inner_join(company):
    company.execute("drop view truth.items")
    company.execute(
        "create table truth.items as select 'wasted_campaign' as truth_id, '72' as item_id,"
        " true as is_planted"
    )
    company.execute(
        "create table marts.dim_campaigns as select * from (values"
        " ('yandex_direct:main:71', '71'), ('yandex_direct:main:72', '72')"
        ") as campaigns (campaign_key, campaign_id)"
    )
    # 72 spends what three and a third sales cost and sells nothing.
    company.execute(
        "create table marts.rpt_channel_economics_monthly as"
        " select model as attribution_model, 'ads' as channel, months.* from (values"
        " ('yandex_direct:main:71', 1000.00, 10.0, 9000.00),"
        " ('yandex_direct:main:72', 500.00, 0.0, 0.00)"
        ") as months (campaign_key, spend_amount, won_weight, won_amount)"
        " cross join (values ('linear'), ('last_non_direct')) as models (model)"
    )
    company.execute(
        "create table marts.fct_ad_spend_daily as"
        " select campaign_key, spend_amount from marts.rpt_channel_economics_monthly"
        " where attribution_model = 'linear'"
    )
    company.execute(
        "create table marts.fct_attribution_credits as"
        " select 'amocrm:900:101' as deal_key, 'won' as outcome, 'last' as attribution_model,"
        " 'ads' as channel, 'yandex_direct:main:71' as campaign_key, 1.0 as credit_weight,"
        " 9000.00 as credit_amount"
    )
    assert scores(judged(company, "wasted_campaign")) == (
        {"precision": 1.0, "recall": 1.0},
        {"precision": None, "recall": 0.0},
    )


def test_honest_deals_of_one_day_are_accused_by_the_naive_flag(company):
    company.execute("drop view truth.items")
    company.execute(
        "create table truth.items as select * from (values"
        " ('late_recording', 'deal', '102', false, 'honest_same_day_deal'),"
        " ('late_recording', 'deal', '103', false, 'honest_same_day_deal')"
        ") as items (truth_id, item_type, item_id, is_planted, look_alike)"
    )
    company.execute(
        "update staging.stg_amocrm__leads set closed_at = created_at + interval 2 hour"
        " where record_id = '102'"
    )
    judgement = judged(company, "honest_same_day_deal")
    assert judgement.ours.state == "not built"
    assert judgement.naive.score.values == {"false alarms": 0.5}


def test_who_was_never_called_says_nothing_of_the_price_of_delay(company):
    # Of ten answered in time four buy, of ten answered late two; five were never called.
    company.execute("drop view truth.sizes")
    company.execute(
        "create table truth.sizes as select * from (values"
        " ('slow_first_response', 'effect', 0.5), ('slow_first_response', 'slow_deals', 10.0)"
        ") as sizes (truth_id, parameter, value)"
    )
    company.execute(
        "create table marts.fct_lead_responses as"
        " select"
        "     number::varchar as deal_key,"
        "     case when number < 10 then 'met' else 'breached' end as sla_status,"
        "     case when number < 20 then timestamp '2026-05-13 13:00:00' end as first_attempt_at,"
        "     timestamp '2026-05-13 12:30:00' as clock_started_at"
        " from range(25) as leads (number)"
    )
    company.execute(
        "create or replace table marts.dim_deals as"
        " select deal_key, if(deal_key in ('0', '1', '2', '3', '10', '11'), 'won', 'lost') outcome"
        " from marts.fct_lead_responses"
    )
    judgement = judged(company, "price_of_delay")
    assert judgement.ours.score.parts == {"true": 0.5, "said": 0.5}
