"""Every measure that waits for its mart can be passed: a mart filled from the truth scores full.

All of these marts are filled at once, so that what one measure asks of a mart does not forbid what
another asks of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from ingest.demo import DemoCompany
from ingest.demo.planted import PlantedCompany
from ingest.demo.planted.contacting import attempts, ripe_leads
from ingest.demo.planted.draft import Draft
from orchestration.lib.benchmark.judging import judge
from orchestration.lib.benchmark.measure import Measure
from orchestration.lib.benchmark.measures import MEASURES
from orchestration.lib.benchmark.scoring import STATISTICS
from orchestration.lib.benchmark.world import attach_truth, save_world
from tests.unit.benchmark.test_measures import ANSWERED

WAITING = [measure for measure in MEASURES if measure.measure_id not in ANSWERED]
# What waiting costs is seen in some forty sales against a hundred and fifty: one standard error.
CHANCE = {"price_of_delay": 0.09}

MARTS = """
create schema marts;

create view planted as select * from truth.items where is_planted;

create table marts.dim_deals as
select 'amocrm:900:' || deal_id as deal_key, deal_id, outcome
from truth.deals
where not is_gone;

create table marts.dim_pipeline_stages as
select distinct 'amocrm:900:' || to_stage_id as stage_key, to_stage_id as stage_id
from truth.stage_changes;

create table marts.fct_deal_stage_visits as
select
    'amocrm:900:' || deals.deal_id as deal_key,
    'amocrm:900:' || moves.to_stage_id as stage_key,
    if(
        deals.deal_id in (select item_id from planted where truth_id = 'late_recording'),
        5 * 9 * 3600,
        0
    ) as recording_lag_business_seconds,
    if(
        deals.deal_id || ':' || moves.to_stage_id
        in (select item_id from planted where truth_id = 'phantom_stage'),
        'no',
        'yes'
    ) as evidence_status,
    if(
        deals.deal_id || ':' || moves.to_stage_id
        in (select item_id from planted where truth_id = 'bulk_cleanup'),
        'bulk',
        'human'
    ) as change_channel
from truth.stage_changes as moves
inner join truth.deals as deals on moves.deal_id = deals.deal_id and not deals.is_gone;

create table marts.rpt_stage_hygiene as
select
    'amocrm:900:' || split_part(item_id, ':', 1) as deal_key,
    'amocrm:900:' || split_part(item_id, ':', 2) as stage_key,
    'hidden_stage' as flag
from planted
where truth_id = 'hidden_stage';

-- Who was never called has broken the promise as well as who was called the next day.
create table marts.fct_lead_responses as
select
    'amocrm:900:' || deals.deal_id as deal_key,
    deals.created_at as clock_started_at,
    if(never_called.item_id is null, deals.created_at, null) as first_attempt_at,
    case
        when silent.item_id is not null then 'excluded'
        when never_called.item_id is not null or slow.item_id is not null then 'breached'
        else 'met'
    end as sla_status
from truth.deals as deals
left join planted as never_called
    on deals.deal_id = never_called.item_id and never_called.truth_id = 'never_called'
left join planted as slow
    on deals.deal_id = slow.item_id and slow.truth_id = 'slow_first_response'
left join truth.items as silent
    on deals.deal_id = silent.item_id and silent.look_alike = 'rep_without_telephony'
where deals.kind = 'new' and not deals.is_gone;

create table marts.fct_deal_rejections as
select 'amocrm:900:' || item_id as deal_key, 'yes' as contradiction_status
from planted
where truth_id = 'contradicted_loss_reason';

create table marts.fct_lead_qualifications as
select 'amocrm:900:' || item_id as deal_key, label as criterion_id, true as is_first_failing
from planted
where truth_id = 'non_target';

create table marts.fct_lead_handovers as
select
    'amocrm:900:' || deal_id as deal_key,
    deal_id in (select item_id from planted where truth_id = 'handover_theatre') as is_theatre
from truth.deals;

create table marts.rpt_sales_rep_performance as
select distinct
    'amocrm:900:' || responsible_user_id as sales_rep_key,
    1.0 as won_to_expected_ratio,
    if(
        responsible_user_id in (select item_id from planted where truth_id = 'star_sales_rep'),
        1.1,
        0.9
    ) as won_to_expected_low_ratio
from truth.deals;

create table marts.rpt_hypotheses as
select
    item_id as hypothesis_id,
    if(truth_id = 'hypothesis_worked', 'supported', 'not_supported') as verdict
from planted
where item_type = 'hypothesis';

create table marts.rpt_data_trust as
select 'doubled_rows' as check_id, value::bigint as row_count
from truth.sizes
where truth_id = 'doubled_load' and parameter = 'rows';
"""


@pytest.fixture(scope="module")
def planted() -> PlantedCompany:
    return DemoCompany(seed=20261121, months=18, leads=20_000).planted()


@pytest.fixture(scope="module")
def seen(
    planted: PlantedCompany, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return the truth of a company, and marts that tell nothing but the truth."""
    folder = tmp_path_factory.mktemp("oracle")
    planted.truth.save(folder)
    save_world(folder, planted.tables)
    with duckdb.connect() as opened:
        opened.execute("set timezone = 'UTC'")
        attach_truth(opened, folder)
        opened.execute(MARTS)
        yield opened


@pytest.fixture
def marts(
    seen: duckdb.DuckDBPyConnection, planted: PlantedCompany, measure: Measure
) -> duckdb.DuckDBPyConnection:
    """Return the marts with the attempts that a measure is about."""
    draft = Draft(planted.tables)
    made = attempts(draft)
    # Whom nobody has spoken with yet, of the leads whose calls are seen.
    counted = made.is_open & ripe_leads(draft)[made.deal]
    calls = pa.table(
        {
            "deal_id": draft.deals["deal_id"][made.deal[counted]],
            "attempt_number": made.number[counted],
            "is_conversation": made.reaches[counted],
        }
    )
    seen.register("calls", calls)
    seen.execute("""
        create or replace table marts.fct_contact_attempts as
        select 'amocrm:900:' || deal_id as deal_key, attempt_number, is_conversation
        from calls
    """)
    if measure.measure_id == "abandoned_follow_up":
        # Others who were called once in vain were written to, rang back, or are still young.
        seen.execute("""
            delete from marts.fct_contact_attempts
            where
                deal_key not in (
                    select 'amocrm:900:' || item_id from planted
                    where truth_id = 'abandoned_follow_up'
                )
                and deal_key in (
                    select deal_key from marts.fct_contact_attempts
                    group by deal_key
                    having count(*) = 1
                )
        """)
    return seen


@pytest.mark.parametrize("measure", WAITING, ids=lambda measure: measure.measure_id)
def test_a_mart_that_tells_the_truth_scores_full(
    marts: duckdb.DuckDBPyConnection, measure: Measure
) -> None:
    (judgement,) = judge(marts, [measure])
    assert judgement.item_count
    assert judgement.ours.score is not None, judgement.ours.lacks
    chance = CHANCE.get(measure.measure_id, 1e-9)
    for statistic in STATISTICS[measure.kind]:
        value = judgement.ours.score.values[statistic.name]
        assert value == pytest.approx(statistic.ideal, abs=chance), judgement.ours.score
