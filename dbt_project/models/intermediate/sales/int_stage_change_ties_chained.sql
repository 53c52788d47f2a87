{{ config(materialized="table") }}
{#- Changes of one save: six links cover what people and robots do; longer saves keep the
    source's order after the sixth. -#}
{%- set links = 6 %}

with changes as (

    select * from {{ ref("int_stage_changes_unioned") }}

),

ties as (

    select
        changes.deal_key,
        changes.changed_at
    from changes
    group by changes.deal_key, changes.changed_at
    having count(*) > 1

),

tied as (

    select
        changes.stage_change_key,
        changes.deal_key,
        changes.changed_at,
        -- A change that knows no stage before it is where a way begins.
        coalesce(changes.from_stage_key, '') as from_stage_key,
        changes.to_stage_key,
        row_number() over (
            partition by changes.deal_key, changes.changed_at
            order by changes.source_sequence asc, changes.stage_change_key asc
        ) as source_position
    from changes
    inner join ties
        on
            changes.deal_key = ties.deal_key
            and changes.changed_at = ties.changed_at

),

chainable as (

    select
        tied.deal_key,
        tied.changed_at
    from tied
    group by tied.deal_key, tied.changed_at
    having max(tied.from_stage_key) <> ''

),

link_0_remaining as (

    select tied.*
    from tied
    inner join chainable
        on
            tied.deal_key = chainable.deal_key
            and tied.changed_at = chainable.changed_at

),

ends as (

    select
        link_0_remaining.deal_key,
        link_0_remaining.changed_at,
        link_0_remaining.from_stage_key as stage_key,
        1 as leaving_count,
        link_0_remaining.source_position
    from link_0_remaining
    union all
    select
        link_0_remaining.deal_key,
        link_0_remaining.changed_at,
        link_0_remaining.to_stage_key as stage_key,
        -1 as leaving_count,
        link_0_remaining.source_position
    from link_0_remaining

),

balances as (

    select
        ends.deal_key,
        ends.changed_at,
        ends.stage_key,
        sum(ends.leaving_count) as balance,
        min(ends.source_position) as source_position
    from ends
    group by ends.deal_key, ends.changed_at, ends.stage_key

),

-- The way begins in the stage that is left once more than it is entered.
open_starts as (

    select
        balances.deal_key,
        balances.changed_at,
        balances.stage_key
    from balances
    where balances.balance > 0
    qualify row_number() over (
        partition by balances.deal_key, balances.changed_at
        order by balances.source_position asc, balances.stage_key asc
    ) = 1

),

-- A round trip begins where the deal stood before.
round_trips as (

    select
        chainable.deal_key,
        chainable.changed_at
    from chainable
    left join open_starts
        on
            chainable.deal_key = open_starts.deal_key
            and chainable.changed_at = open_starts.changed_at
    where open_starts.deal_key is null

),

earlier_stages as (

    select
        round_trips.deal_key,
        round_trips.changed_at,
        changes.to_stage_key as stage_key,
        changes.changed_at as earlier_at
    from round_trips
    inner join changes
        on
            round_trips.deal_key = changes.deal_key
            and round_trips.changed_at > changes.changed_at
    qualify
        rank() over (
            partition by round_trips.deal_key, round_trips.changed_at
            order by changes.changed_at desc
        ) = 1

),

round_trip_starts as (

    select
        link_0_remaining.deal_key,
        link_0_remaining.changed_at,
        link_0_remaining.from_stage_key as stage_key
    from link_0_remaining
    inner join round_trips
        on
            link_0_remaining.deal_key = round_trips.deal_key
            and link_0_remaining.changed_at = round_trips.changed_at
    left join earlier_stages
        on
            link_0_remaining.deal_key = earlier_stages.deal_key
            and link_0_remaining.changed_at = earlier_stages.changed_at
            and link_0_remaining.from_stage_key = earlier_stages.stage_key
    qualify row_number() over (
        partition by link_0_remaining.deal_key, link_0_remaining.changed_at
        order by
            case when earlier_stages.stage_key is null then 1 else 0 end asc,
            link_0_remaining.source_position asc
    ) = 1

),

link_0_stage as (

    select * from open_starts
    union all
    select * from round_trip_starts

),

-- The stage the way ends in is taken last when several ways lead on.
last_stages as (

    select
        balances.deal_key,
        balances.changed_at,
        balances.stage_key
    from balances
    where balances.balance < 0

),
{% for link in range(1, links + 1) %}
    link_{{ link }}_picked as (

        select
            remaining.stage_change_key,
            remaining.deal_key,
            remaining.changed_at,
            remaining.to_stage_key
        from link_{{ link - 1 }}_remaining as remaining
        inner join link_{{ link - 1 }}_stage as here
            on
                remaining.deal_key = here.deal_key
                and remaining.changed_at = here.changed_at
                and remaining.from_stage_key = here.stage_key
        left join last_stages
            on
                remaining.deal_key = last_stages.deal_key
                and remaining.changed_at = last_stages.changed_at
                and remaining.to_stage_key = last_stages.stage_key
        qualify row_number() over (
            partition by remaining.deal_key, remaining.changed_at
            order by
                case when last_stages.stage_key is null then 0 else 1 end asc,
                remaining.source_position asc
        ) = 1

    ),

    link_{{ link }}_stage as (

        select
            link_{{ link }}_picked.deal_key,
            link_{{ link }}_picked.changed_at,
            link_{{ link }}_picked.to_stage_key as stage_key
        from link_{{ link }}_picked

    ),

    link_{{ link }}_remaining as (

        select remaining.*
        from link_{{ link - 1 }}_remaining as remaining
        left join link_{{ link }}_picked as picked
            on remaining.stage_change_key = picked.stage_change_key
        where picked.stage_change_key is null

    ),
{% endfor %}
placed as (
    {% for link in range(1, links + 1) %}
        select
            link_{{ link }}_picked.stage_change_key,
            {{ link }} as chain_position
        from link_{{ link }}_picked
        {{ "union all" if not loop.last }}
    {%- endfor %}

),

final as (

    select
        tied.stage_change_key,
        tied.deal_key,
        coalesce(
            placed.chain_position, {{ links }} + tied.source_position
        ) as tie_position
    from tied
    left join placed
        on tied.stage_change_key = placed.stage_change_key

)

select * from final
