-- A returned row is a matrix that holds more or fewer events than the facts of live deals do.
with live_deals as (

    select deal_key
    from {{ ref("dim_deals") }}
    where
        not is_deleted
        and deal_kind <> 'test'

),

totals as (

    select
        'transitions' as matrix,
        (
            select count(*)
            from {{ ref("fct_deal_stage_transitions") }} as transitions
            inner join live_deals on transitions.deal_key = live_deals.deal_key
        ) as fact_count,
        (
            select coalesce(sum(transition_count), 0)
            from {{ ref("rpt_stage_transition_matrix") }}
        ) as matrix_count
    union all
    select
        'rejections' as matrix,
        (
            select count(*)
            from {{ ref("fct_deal_rejections") }} as rejections
            inner join live_deals on rejections.deal_key = live_deals.deal_key
        ) as fact_count,
        (
            select coalesce(sum(rejection_count), 0)
            from {{ ref("rpt_rejection_matrix") }}
        ) as matrix_count

)

select *
from totals
where fact_count <> matrix_count
