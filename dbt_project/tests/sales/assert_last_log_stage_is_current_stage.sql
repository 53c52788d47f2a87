-- A returned row is a deal whose last stay is in another stage than the deal itself.
with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

transitions as (

    select * from {{ ref("fct_deal_stage_transitions") }}

),

last_moves as (

    select
        transitions.deal_key,
        transitions.from_stage_key,
        transitions.to_stage_key
    from transitions
    qualify row_number() over (
        partition by transitions.deal_key
        order by transitions.transition_number desc
    ) = 1

),

final as (

    select
        deals.deal_key,
        deals.stage_key,
        last_moves.to_stage_key as last_visit_stage_key
    from deals
    left join last_moves on deals.deal_key = last_moves.deal_key
    where
        last_moves.to_stage_key is null
        or (
            last_moves.to_stage_key <> deals.stage_key
            -- Where the stage tells no end, the outcome beside it is one move more.
            and not (
                coalesce(last_moves.from_stage_key = deals.stage_key, false)
                and last_moves.to_stage_key like
                {{ dbt.concat(["'%:'", "coalesce(deals.declared_outcome, '')"]) }}
            )
        )

)

select * from final
