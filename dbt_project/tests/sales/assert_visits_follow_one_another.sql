-- A returned row is a stay that does not begin where and when the stay before it ended.
with visits as (

    select * from {{ ref("fct_deal_stage_visits") }}

),

transitions as (

    select * from {{ ref("fct_deal_stage_transitions") }}

),

final as (

    select
        visits.visit_key,
        visits.stage_key,
        visits.exited_at,
        transitions.from_stage_key,
        transitions.transitioned_at
    from visits
    left join transitions
        on
            visits.deal_key = transitions.deal_key
            and visits.visit_number + 1 = transitions.transition_number
    where
        (visits.exited_at is null) <> (transitions.transition_key is null)
        or visits.exited_at <> transitions.transitioned_at
        or visits.stage_key <> transitions.from_stage_key

)

select * from final
