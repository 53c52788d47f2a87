"""What sales reps do, and what they write down."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures.needs import EVENTS, LEADS, LOSS_REASONS, NOTES

_STAGING = {**LEADS, **EVENTS}
_NOTES = {**LEADS, **NOTES}

_NOTE = """
    json_extract_string(payload, '$.entity_id') as entity_id,
    json_extract_string(payload, '$.note_type') as note_type,
    to_timestamp(json_extract_string(payload, '$.created_at')::bigint)::timestamp as called_at
"""
# Calls after a deal was made, of its card and of its contact.
CALLS = f"""
    with lead_calls as (
        select {_NOTE} from raw_amocrm.lead_notes
    ),

    contact_calls as (
        select {_NOTE} from raw_amocrm.contact_notes
    ),

    leads as (
        select record_id, main_contact_id, created_at from staging.stg_amocrm__leads
    )

    select leads.record_id as deal_id, leads.created_at, note_type, called_at
    from lead_calls
    inner join leads on lead_calls.entity_id = leads.record_id
    where note_type in ('call_in', 'call_out') and called_at >= leads.created_at
    union all
    select leads.record_id as deal_id, leads.created_at, note_type, called_at
    from contact_calls
    inner join leads on contact_calls.entity_id = leads.main_contact_id
    where note_type in ('call_in', 'call_out') and called_at >= leads.created_at
"""


def planted(truth_id: str) -> str:
    """Return the query of what is planted."""
    return f"select item_id from truth.items where truth_id = '{truth_id}' and is_planted"


SAME_DAY = Way(
    """
    select record_id
    from staging.stg_amocrm__leads
    where closed_at < created_at or cast(closed_at as date) = cast(created_at as date)
    """,
    LEADS,
)
LATE_RECORDING = Way(
    # One working day is nine hours.
    """
    select distinct deals.deal_id
    from marts.fct_deal_stage_visits as visits
    inner join marts.dim_deals as deals on visits.deal_key = deals.deal_key
    where visits.recording_lag_business_seconds > 9 * 3600
    """,
    {
        "marts.fct_deal_stage_visits": ("deal_key", "recording_lag_business_seconds"),
        "marts.dim_deals": ("deal_key", "deal_id"),
    },
)
_STAGE_ITEM = """
    select concat(deals.deal_id, ':', stages.stage_id)
    from marts.{table} as flagged
    inner join marts.dim_deals as deals on flagged.deal_key = deals.deal_key
    inner join (select distinct stage_key, stage_id from marts.dim_pipeline_stages) as stages
        on flagged.stage_key = stages.stage_key
    where {condition}
"""
_STAGE_NEEDS = {
    "marts.dim_deals": ("deal_key", "deal_id"),
    "marts.dim_pipeline_stages": ("stage_key", "stage_id"),
}
PHANTOM_STAGE = Way(
    _STAGE_ITEM.format(table="fct_deal_stage_visits", condition="flagged.evidence_status = 'no'"),
    {
        "marts.fct_deal_stage_visits": ("deal_key", "stage_key", "evidence_status"),
        **_STAGE_NEEDS,
    },
)
HIDDEN_STAGE = Way(
    _STAGE_ITEM.format(table="rpt_stage_hygiene", condition="flagged.flag = 'hidden_stage'"),
    {"marts.rpt_stage_hygiene": ("deal_key", "stage_key", "flag"), **_STAGE_NEEDS},
)
BULK_CLEANUP = Way(
    _STAGE_ITEM.format(table="fct_deal_stage_visits", condition="flagged.change_channel = 'bulk'"),
    {
        "marts.fct_deal_stage_visits": ("deal_key", "stage_key", "change_channel"),
        **_STAGE_NEEDS,
    },
    ready_when="""
        select count(*) > 0 from marts.fct_deal_stage_visits where change_channel = 'bulk'
    """,
    not_ready="rows of change_channel 'bulk' in marts.fct_deal_stage_visits",
)
BURSTS = Way(
    # Three moves of one deal within ten minutes, whoever made them.
    """
    with moves as (
        select
            entity_id,
            created_at,
            lag(created_at, 2) over (partition by entity_id order by created_at, record_id)
                as third_last_at
        from staging.stg_amocrm__events
        where event_type = 'lead_status_changed'
    )

    select distinct entity_id
    from moves
    where created_at <= third_last_at + interval 10 minute
    """,
    _STAGING,
)
SLOW_RESPONSE = Way(
    """
    select deals.deal_id
    from marts.fct_lead_responses as responses
    inner join marts.dim_deals as deals on responses.deal_key = deals.deal_key
    where responses.sla_status = 'breached'
    """,
    {
        "marts.fct_lead_responses": ("deal_key", "sla_status"),
        "marts.dim_deals": ("deal_key", "deal_id"),
    },
)
SLOW_WALL_CLOCK = Way(
    # The clock on the wall, nights and holidays in it; who was never called has no response time.
    f"""
    select deal_id
    from ({CALLS})
    where note_type = 'call_out'
    group by deal_id, created_at
    having min(called_at) > created_at + interval 1 hour
    """,
    _NOTES,
)
NEVER_CALLED = Way(
    """
    select deals.deal_id
    from marts.fct_lead_responses as responses
    inner join marts.dim_deals as deals on responses.deal_key = deals.deal_key
    where responses.first_attempt_at is null and responses.sla_status = 'breached'
    """,
    {
        "marts.fct_lead_responses": ("deal_key", "first_attempt_at", "sla_status"),
        "marts.dim_deals": ("deal_key", "deal_id"),
    },
)
NO_CALL_ON_CARD = Way(
    f"""
    with called as (
        select distinct entity_id
        from (select {_NOTE} from raw_amocrm.lead_notes)
        where note_type in ('call_in', 'call_out')
    )

    select record_id
    from staging.stg_amocrm__leads
    anti join called on record_id = entity_id
    """,
    _NOTES,
)

MEASURES = (
    Measure(
        truth_id="late_recording",
        measure_id="late_recording",
        title="deals whose stages were marked late",
        kind="found",
        true=planted("late_recording"),
        ours=LATE_RECORDING,
        naive=SAME_DAY,
        naive_title="close date < created date, or the same day",
        naive_source="red flags backdated and same-day of FunnelCake [V1]",
        builds="independent clocks: fct_deal_stage_visits with lag behind calls, documents, money",
    ),
    Measure(
        truth_id="phantom_stage",
        measure_id="phantom_stage",
        title="stages entered without evidence",
        kind="found",
        true=planted("phantom_stage"),
        ours=PHANTOM_STAGE,
        naive=Way(
            """
            with stays as (
                select
                    entity_id,
                    after_status_id,
                    lead(created_at) over (partition by entity_id order by created_at, record_id)
                    - created_at as dwell
                from staging.stg_amocrm__events
                where event_type = 'lead_status_changed'
            )

            select concat(entity_id, ':', after_status_id) from stays
            where dwell < interval 60 second
            """,
            _STAGING,
        ),
        naive_title="stays under a minute",
        naive_source="form-based event capture of the log-imperfection patterns [L1]",
        builds="stage_evidence rules over calls, documents and invoices",
    ),
    Measure(
        truth_id="hidden_stage",
        measure_id="hidden_stage",
        title="stages that were never entered",
        kind="found",
        true=planted("hidden_stage"),
        ours=HIDDEN_STAGE,
        naive=Way(
            """
            with reached as (
                select deals.deal_id, deals.deal_key, max(stages.stage_position) as reach
                from marts.fct_deal_stage_visits as visits
                inner join marts.dim_deals as deals on visits.deal_key = deals.deal_key
                inner join marts.dim_pipeline_stages as stages
                    on visits.stage_version_key = stages.stage_version_key
                where stages.stage_category <> 'lost'
                group by all
            )

            select concat(reached.deal_id, ':', stages.stage_id)
            from reached
            inner join marts.dim_deals as deals on reached.deal_key = deals.deal_key
            inner join marts.dim_pipeline_stages as stages
                on
                    deals.pipeline_id = stages.pipeline_id
                    and stages.is_current
                    and stages.stage_category = 'open'
                    and not stages.is_unsorted
                    and stages.stage_position < reached.reach
            where
                not exists (
                    select 1
                    from marts.fct_deal_stage_visits as visits
                    where
                        visits.deal_key = reached.deal_key
                        and visits.stage_key = stages.stage_key
                )
            """,
            {
                "marts.fct_deal_stage_visits": ("deal_key", "stage_key", "stage_version_key"),
                "marts.dim_deals": ("deal_key", "deal_id", "pipeline_id"),
                "marts.dim_pipeline_stages": (
                    "stage_version_key",
                    "stage_key",
                    "stage_id",
                    "pipeline_id",
                    "stage_position",
                    "stage_category",
                    "is_current",
                    "is_unsorted",
                ),
            },
        ),
        naive_title="every skipped stage is filled in",
        naive_source="linear funnel of FunnelCake [V2], Bitrix24 'with conversion' [R10]",
        builds="stage_evidence rules and rpt_stage_hygiene",
    ),
    Measure(
        truth_id="bulk_cleanup",
        measure_id="bulk_cleanup",
        title="cards moved in a clean-up",
        kind="found",
        true=planted("bulk_cleanup"),
        ours=BULK_CLEANUP,
        naive=Way(
            # Three cards of one person in one second: a batch only where nothing is between.
            """
            select concat(entity_id, ':', after_status_id)
            from staging.stg_amocrm__events
            where event_type = 'lead_status_changed'
            qualify count(*) over (partition by created_by, created_at) >= 3
            """,
            _STAGING,
        ),
        naive_title="three moves of one person in the same second",
        naive_source="simultaneous batches of pm4py [O14]",
        builds="moves judged by each person's own hourly rate",
    ),
    Measure(
        truth_id="slow_first_response",
        measure_id="slow_first_response",
        title="leads answered late or never",
        kind="found",
        true=f"{planted('slow_first_response')} union {planted('never_called')}",
        ours=SLOW_RESPONSE,
        naive=SLOW_WALL_CLOCK,
        naive_title="first call after an hour by the wall clock, unanswered left out",
        naive_source="reply time of dbt_zendesk [I: 92, PR 136]",
        builds="activities of the CRM: fct_contact_attempts and fct_lead_responses",
    ),
    Measure(
        truth_id="slow_first_response",
        measure_id="price_of_delay",
        title="share of sales lost by a late answer",
        kind="number",
        unit="points",
        true="""
            select
                max(value) filter (parameter = 'effect'),
                coalesce(max(value) filter (parameter = 'slow_deals'), 0)
            from truth.sizes
            where truth_id = 'slow_first_response'
        """,
        ours=Way(
            # Requests of the same working hours, so that the hour is not what differs; who was
            # never called paid another price, which is not the delay's.
            """
            with answered as (
                select
                    responses.sla_status = 'breached' as is_late,
                    deals.outcome = 'won' as is_won
                from marts.fct_lead_responses as responses
                inner join marts.dim_deals as deals on responses.deal_key = deals.deal_key
                where
                    responses.sla_status in ('met', 'breached')
                    and responses.first_attempt_at is not null
                    and isodow(responses.clock_started_at + interval 3 hour) <= 5
                    and hour(responses.clock_started_at + interval 3 hour) between 15 and 17
            )

            select
                1
                - avg(is_won::int) filter (is_late)
                / nullif(avg(is_won::int) filter (not is_late), 0)
            from answered
            """,
            {
                "marts.fct_lead_responses": (
                    "deal_key",
                    "sla_status",
                    "clock_started_at",
                    "first_attempt_at",
                ),
                "marts.dim_deals": ("deal_key", "outcome"),
            },
        ),
        naive=Way(
            f"""
            with first_calls as (
                select
                    deal_id,
                    min(called_at) > created_at + interval 1 hour as is_late
                from ({CALLS})
                where note_type = 'call_out'
                group by deal_id, created_at
            )

            select
                1
                - avg((status_id = '142')::int) filter (is_late)
                / nullif(avg((status_id = '142')::int) filter (not is_late), 0)
            from first_calls
            inner join staging.stg_amocrm__leads on deal_id = record_id
            """,
            _NOTES,
        ),
        naive_title="won ratio of leads called within an hour against the others",
        naive_source="speed-to-lead dashboards [B1, B2]; nights and unanswered leads distort it",
        builds="activities of the CRM: fct_lead_responses",
    ),
    Measure(
        truth_id="never_called",
        measure_id="never_called",
        title="leads nobody tried to reach",
        kind="found",
        true=planted("never_called"),
        ours=NEVER_CALLED,
        naive=NO_CALL_ON_CARD,
        naive_title="no call on the deal's own card",
        naive_source="calls sit on contacts in amoCRM; accepted, never contacted 3 of 20 [B3]",
        builds="activities of the CRM: fct_contact_attempts and fct_lead_responses",
    ),
    Measure(
        truth_id="abandoned_follow_up",
        measure_id="abandoned_follow_up",
        title="leads given up after one attempt",
        kind="found",
        true=planted("abandoned_follow_up"),
        ours=Way(
            """
            select deals.deal_id
            from marts.fct_contact_attempts as attempts
            inner join marts.dim_deals as deals on attempts.deal_key = deals.deal_key
            group by deals.deal_id
            having count(*) = 1 and not bool_or(attempts.is_conversation)
            """,
            {
                "marts.fct_contact_attempts": ("deal_key", "attempt_number", "is_conversation"),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        naive=Way(
            """
            with planned as (
                select distinct json_extract_string(payload, '$.entity_id') as entity_id
                from raw_amocrm.tasks
                where json_extract_string(payload, '$.is_completed') = 'false'
            )

            select record_id
            from staging.stg_amocrm__leads
            anti join planned on record_id = entity_id
            where status_id not in ('142', '143')
            """,
            {**LEADS, "raw_amocrm.tasks": ("payload",)},
        ),
        naive_title="open deals without a task",
        naive_source="widget 'deals without tasks' of amoCRM [R14]",
        builds="activities of the CRM: fct_contact_attempts",
    ),
    Measure(
        truth_id="abandoned_follow_up",
        measure_id="yield_of_second_attempt",
        title="yield of the second attempt",
        kind="number",
        unit="points",
        true="""
            select max(value), max(try_cast(regexp_extract(unit, '([0-9]+)', 1) as bigint))
            from truth.sizes
            where truth_id = 'abandoned_follow_up' and parameter = 'yield_of_attempt_2'
        """,
        ours=Way(
            """
            with leads as (
                select
                    deal_key,
                    max(attempt_number) as last_number,
                    min(attempt_number) filter (is_conversation) as talked_number
                from marts.fct_contact_attempts
                group by deal_key
            )

            select
                count(*) filter (talked_number = 2)
                / nullif(
                    count(*) filter (last_number >= 2 and coalesce(talked_number, 2) >= 2), 0
                )::double
            from leads
            """,
            {"marts.fct_contact_attempts": ("deal_key", "attempt_number", "is_conversation")},
        ),
        naive=Way(
            f"""
            with numbered as (
                select
                    deal_id,
                    row_number() over (partition by deal_id order by called_at) as call_number
                from ({CALLS})
                where note_type = 'call_out'
            ),

            won as (
                select deal_id, max(call_number) as call_count
                from numbered
                inner join staging.stg_amocrm__leads on deal_id = record_id
                where status_id = '142'
                group by deal_id
            )

            select count(*) filter (call_count = 2) / nullif(count(*), 0)::double from won
            """,
            _NOTES,
        ),
        naive_title="share of sales that took two contacts",
        naive_source="'sales by number of contacts', traced to a body that does not exist [B12]",
        builds="activities of the CRM: fct_contact_attempts",
    ),
    Measure(
        truth_id="contradicted_loss_reason",
        measure_id="contradicted_loss_reason",
        title="losses whose reason is denied",
        kind="found",
        true=planted("contradicted_loss_reason"),
        ours=Way(
            """
            select deals.deal_id
            from marts.fct_deal_rejections as rejections
            inner join marts.dim_deals as deals on rejections.deal_key = deals.deal_key
            where rejections.contradiction_status = 'yes'
            """,
            {
                "marts.fct_deal_rejections": ("deal_key", "contradiction_status"),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        # An empty reason is denied by nothing: what peers check finds none of these.
        naive=None,
        naive_title="",
        naive_source="coverage of the reason field is all that is checked [B4, B5]",
        builds="fct_deal_rejections.contradiction_status by attempts, talk time and documents",
    ),
    Measure(
        truth_id="loss_reason",
        measure_id="loss_reasons",
        title="losses by reason",
        kind="breakdown",
        true="""
            select
                coalesce(
                    stage_changes.loss_reason,
                    case when stage_changes.is_by_robot then 'expired' else 'not_given' end
                ),
                count(*), count(*)
            from truth.stage_changes
            inner join truth.deals on stage_changes.deal_id = deals.deal_id
            where stage_changes.to_stage_id = '143' and not deals.is_gone
            group by all
        """,
        ours=Way(
            "select reason, count(*) from marts.fct_deal_rejections group by all",
            {"marts.fct_deal_rejections": ("deal_key", "reason")},
        ),
        naive=Way(
            """
            select reasons.loss_reason, count(*)
            from staging.stg_amocrm__leads as leads
            inner join staging.stg_amocrm__loss_reasons as reasons
                on leads.loss_reason_id = reasons.record_id
            where leads.status_id = '143'
            group by all
            """,
            {
                **LEADS,
                **LOSS_REASONS,
            },
        ),
        naive_title="lost now, with a reason",
        naive_source="the standard amoCRM report sees where deals stand now [R13]",
    ),
    Measure(
        truth_id="non_target",
        measure_id="non_target",
        title="non-target leads",
        kind="found",
        true=planted("non_target"),
        ours=Way(
            "select deal_id from marts.dim_deals where target_status = 'non_target'",
            {"marts.dim_deals": ("deal_id", "target_status")},
        ),
        naive=None,
        naive_title="",
        naive_source="target calls are told by tags somebody sets, and none are set here:"
        " Calltouch [K]",
    ),
    Measure(
        truth_id="non_target",
        measure_id="non_target_criterion",
        title="non-target leads by criterion",
        kind="label",
        true="""
            select item_id, label
            from truth.items
            where truth_id = 'non_target' and is_planted and label <> 'unsaid'
        """,
        ours=Way(
            """
            select deals.deal_id, qualifications.criterion_id
            from marts.fct_lead_qualifications as qualifications
            inner join marts.dim_deals as deals on qualifications.deal_key = deals.deal_key
            where qualifications.is_first_failing
            """,
            {
                "marts.fct_lead_qualifications": (
                    "deal_key",
                    "criterion_id",
                    "is_first_failing",
                ),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        naive=Way(
            """
            select
                leads.record_id,
                case
                    when reasons.loss_reason ilike '%регион%' then 'region'
                    when reasons.loss_reason ilike '%продукт%' then 'product'
                    when reasons.loss_reason ilike '%дорого%' then 'budget'
                    when reasons.loss_reason ilike '%номер%' then 'spam'
                end
            from staging.stg_amocrm__leads as leads
            inner join staging.stg_amocrm__loss_reasons as reasons
                on leads.loss_reason_id = reasons.record_id
            """,
            {
                **LEADS,
                **LOSS_REASONS,
            },
        ),
        naive_title="read out of the loss reason",
        naive_source="rejected leads are one status type, SPAM, in Yandex Metrica [R6]",
        builds="qualification_criteria of the company and fct_lead_qualifications",
    ),
    Measure(
        truth_id="handover_theatre",
        measure_id="handover_theatre",
        title="leads accepted and never worked",
        kind="found",
        true=planted("handover_theatre"),
        ours=Way(
            """
            select deals.deal_id
            from marts.fct_lead_handovers as handovers
            inner join marts.dim_deals as deals on handovers.deal_key = deals.deal_key
            where handovers.is_theatre
            """,
            {
                "marts.fct_lead_handovers": ("deal_key", "is_theatre"),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        naive=Way(
            """
            select events.entity_id
            from staging.stg_amocrm__events as events
            inner join staging.stg_amocrm__leads as leads on events.entity_id = leads.record_id
            where
                events.event_type = 'lead_status_changed'
                and leads.status_id not in ('142', '143')
            group by events.entity_id
            having max(events.created_at) < (select now_at - interval 30 day from truth.clock)
            """,
            _STAGING,
        ),
        naive_title="no move for 30 days",
        naive_source="risk 'no activity in 30 days' of FunnelCake [V5]; complaint 11 [B3]",
        builds="handover_rules and fct_lead_handovers",
    ),
    Measure(
        truth_id="star_sales_rep",
        measure_id="star_sales_rep",
        title="the rep who really sells better",
        kind="found",
        true=planted("star_sales_rep"),
        ours=Way(
            """
            select split_part(sales_rep_key, ':', 3)
            from marts.rpt_sales_rep_performance
            where won_to_expected_low_ratio > 1
            """,
            {
                "marts.rpt_sales_rep_performance": (
                    "sales_rep_key",
                    "won_to_expected_ratio",
                    "won_to_expected_low_ratio",
                )
            },
        ),
        naive=Way(
            """
            with rates as (
                select
                    sales_rep_key,
                    count(*) filter (outcome = 'won') / count(*)::double as won_ratio
                from marts.dim_deals
                where outcome in ('won', 'lost') and sales_rep_key is not null
                group by all
                having count(*) >= 10
            )

            select split_part(sales_rep_key, ':', 3)
            from rates
            where won_ratio > 1.2 * (select avg(won_ratio) from rates)
            """,
            {"marts.dim_deals": ("sales_rep_key", "outcome")},
        ),
        naive_title="won / (won + lost) a fifth above the mean",
        naive_source="owner_performance of dbt_salesforce [O2]; complaint 16",
        builds="rpt_sales_rep_performance: expected wins of a rep's own leads, shrunk",
    ),
)
