with declared as (

    select
        pipeline_stages.*,
        coalesce(pipeline_stages.pipeline_id, 'default') as known_pipeline_id
    from {{ ref("stg_files__pipeline_stages") }} as pipeline_stages

),

deals as (

    select * from {{ ref("int_files__deals_conformed") }}

),

-- One pass over the log by deal, one by pair of stages: ten million changes are read twice, not
-- once per question. Changes of another system's deals name that system's stages and stay out.
deal_logs as (

    select
        stage_changes.source_account_id,
        stage_changes.deal_id,
        min(stage_changes.changed_at) as first_changed_at,
        {{ value_of_last(
            "stage_changes.to_stage_id",
            ["stage_changes.changed_at", "stage_changes.row_number"],
        ) }} as last_stage_id,
        {{ value_of_last(
            "stage_changes.pipeline_id",
            ["stage_changes.changed_at", "stage_changes.row_number"],
        ) }} as last_pipeline_id
    from {{ ref("stg_files__stage_changes") }} as stage_changes
    where stage_changes.deal_source_system is null
    group by
        stage_changes.source_account_id,
        stage_changes.deal_id

),

moves as (

    select
        stage_changes.source_account_id,
        stage_changes.from_pipeline_id,
        stage_changes.from_stage_id,
        stage_changes.to_pipeline_id,
        stage_changes.to_stage_id,
        min(stage_changes.changed_at) as first_seen_at,
        min(stage_changes.source_sequence) as first_sequence
    from {{ ref("int_files__stage_changes_conformed") }} as stage_changes
    where stage_changes.deal_key like 'files:%'
    group by
        stage_changes.source_account_id,
        stage_changes.from_pipeline_id,
        stage_changes.from_stage_id,
        stage_changes.to_pipeline_id,
        stage_changes.to_stage_id

),

logged_deals as (

    select
        deals.deal_key,
        deals.source_account_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.declared_outcome,
        deals.created_at,
        deals.closed_at,
        deal_logs.first_changed_at,
        -- Where a deal is now: its stage, else the last stage of its log.
        coalesce(deals.stage_id, deal_logs.last_stage_id) as resting_stage_id,
        case
            when deals.stage_id is null
                then coalesce(deal_logs.last_pipeline_id, deals.pipeline_id)
            else deals.pipeline_id
        end as resting_pipeline_id
    from deals
    left join deal_logs
        on
            deals.source_account_id = deal_logs.source_account_id
            and deals.deal_id = deal_logs.deal_id

),

-- A stage may be terminal by outcome only if every deal that rests in it says the same.
resting_outcomes as (

    select
        logged_deals.source_account_id,
        logged_deals.resting_pipeline_id as pipeline_id,
        logged_deals.resting_stage_id as stage_id,
        case
            when
                count(*) = count(logged_deals.declared_outcome)
                and min(logged_deals.declared_outcome) = max(logged_deals.declared_outcome)
                then min(logged_deals.declared_outcome)
            when count(logged_deals.declared_outcome) > 0 then 'open'
        end as stage_category
    from logged_deals
    where logged_deals.resting_stage_id is not null
    group by
        logged_deals.source_account_id,
        logged_deals.resting_pipeline_id,
        logged_deals.resting_stage_id

),

-- Where the losers of a log stop, its winners may have passed: that stage is no end. One deal in
-- ten is left to those who were reopened. Few stages are asked about, so few changes are read.
passed_stages as (

    select
        resting_outcomes.source_account_id,
        resting_outcomes.pipeline_id,
        resting_outcomes.stage_id
    from resting_outcomes
    inner join {{ ref("int_files__stage_changes_conformed") }} as stage_changes
        on
            resting_outcomes.source_account_id = stage_changes.source_account_id
            and resting_outcomes.pipeline_id = stage_changes.to_pipeline_id
            and resting_outcomes.stage_id = stage_changes.to_stage_id
    inner join logged_deals on stage_changes.deal_key = logged_deals.deal_key
    left join declared
        on
            resting_outcomes.source_account_id = declared.source_account_id
            and resting_outcomes.pipeline_id = declared.known_pipeline_id
            and resting_outcomes.stage_id = declared.stage_id
    where
        resting_outcomes.stage_category in ('won', 'lost')
        and declared.stage_category is null
    group by
        resting_outcomes.source_account_id,
        resting_outcomes.pipeline_id,
        resting_outcomes.stage_id
    having
        10 * count(distinct case
            when
                logged_deals.resting_stage_id <> resting_outcomes.stage_id
                or logged_deals.resting_pipeline_id <> resting_outcomes.pipeline_id
                then logged_deals.deal_key
        end) > count(distinct logged_deals.deal_key)

),

-- In an account whose deals declare outcomes, a stage in which no deal rests is not an end.
accounts_with_outcomes as (

    select distinct deals.source_account_id
    from deals
    where deals.declared_outcome is not null

),

-- A log that tells where a deal came from needs no stage before the first.
accounts_with_from as (

    select distinct moves.source_account_id
    from moves
    where moves.from_stage_id is not null

),

-- Deals that nothing places at their creation begin in a stage before all others; deals that closed
-- without a log end in a stage named after their outcome.
implied as (

    select distinct
        logged_deals.source_account_id,
        logged_deals.pipeline_id,
        'created' as stage_id
    from logged_deals
    left join accounts_with_from
        on logged_deals.source_account_id = accounts_with_from.source_account_id
    where
        case
            when logged_deals.first_changed_at is null
                then logged_deals.stage_id is null or logged_deals.closed_at is not null
            else
                logged_deals.first_changed_at > logged_deals.created_at
                and accounts_with_from.source_account_id is null
        end
    union
    select distinct
        logged_deals.source_account_id,
        logged_deals.pipeline_id,
        logged_deals.declared_outcome as stage_id
    from logged_deals
    where
        logged_deals.first_changed_at is null
        and logged_deals.stage_id is null
        and logged_deals.closed_at is not null
        and logged_deals.declared_outcome in ('won', 'lost')

),

mentions as (

    select
        moves.source_account_id,
        moves.from_pipeline_id as pipeline_id,
        moves.from_stage_id as stage_id,
        moves.first_seen_at,
        moves.first_sequence,
        0 as side
    from moves
    where moves.from_stage_id is not null
    union all
    select
        moves.source_account_id,
        moves.to_pipeline_id as pipeline_id,
        moves.to_stage_id as stage_id,
        moves.first_seen_at,
        moves.first_sequence,
        1 as side
    from moves
    union all
    select
        deals.source_account_id,
        deals.pipeline_id,
        deals.stage_id,
        min(deals.created_at) as first_seen_at,
        0 as first_sequence,
        2 as side
    from deals
    where deals.stage_id is not null
    group by
        deals.source_account_id,
        deals.pipeline_id,
        deals.stage_id
    union all
    select
        implied.source_account_id,
        implied.pipeline_id,
        implied.stage_id,
        cast(null as timestamp) as first_seen_at,
        0 as first_sequence,
        2 as side
    from implied

),

-- Order of first appearance in the logs; a stage that only deals name comes after them.
first_mentions as (

    select
        mentions.*,
        row_number() over (
            partition by mentions.source_account_id, mentions.pipeline_id
            order by
                case when mentions.side = 2 then 1 else 0 end,
                mentions.first_seen_at nulls last,
                mentions.first_sequence,
                mentions.side,
                mentions.stage_id
        ) as appearance
    from mentions
    qualify row_number() over (
        partition by mentions.source_account_id, mentions.pipeline_id, mentions.stage_id
        order by
            case when mentions.side = 2 then 1 else 0 end,
            mentions.first_seen_at nulls last,
            mentions.first_sequence,
            mentions.side
    ) = 1

),

stages as (

    select
        coalesce(declared.source_account_id, first_mentions.source_account_id) as source_account_id,
        coalesce(declared.known_pipeline_id, first_mentions.pipeline_id) as pipeline_id,
        declared.pipeline_name,
        coalesce(declared.stage_id, first_mentions.stage_id) as stage_id,
        declared.stage_name,
        declared.declared_funnel_step,
        declared.stage_id is not null as is_declared,
        declared.stage_position as declared_position,
        declared.row_number as declared_order,
        declared.stage_category as declared_category,
        first_mentions.appearance
    from declared
    full join first_mentions
        on
            declared.source_account_id = first_mentions.source_account_id
            and declared.known_pipeline_id = first_mentions.pipeline_id
            and declared.stage_id = first_mentions.stage_id

),

categorised as (

    select
        stages.*,
        not stages.is_declared and stages.stage_id = 'created' as is_entry,
        coalesce(
            stages.declared_category,
            case
                when
                    resting_outcomes.stage_category <> 'open'
                    and passed_stages.stage_id is null
                    then resting_outcomes.stage_category
                when not stages.is_declared and stages.stage_id in ('won', 'lost')
                    then stages.stage_id
                -- some deals that rest in it are open, or end in another way
                when resting_outcomes.stage_category is not null then 'open'
                when not stages.is_declared and stages.stage_id = 'created' then 'open'
                when accounts_with_outcomes.source_account_id is not null then 'open'
            end
        ) as source_stage_category
    from stages
    left join resting_outcomes
        on
            stages.source_account_id = resting_outcomes.source_account_id
            and stages.pipeline_id = resting_outcomes.pipeline_id
            and stages.stage_id = resting_outcomes.stage_id
    left join passed_stages
        on
            stages.source_account_id = passed_stages.source_account_id
            and stages.pipeline_id = passed_stages.pipeline_id
            and stages.stage_id = passed_stages.stage_id
    left join accounts_with_outcomes
        on stages.source_account_id = accounts_with_outcomes.source_account_id

),

ranked as (

    select
        categorised.*,
        case
            when categorised.is_entry then 0
            else row_number() over (
                partition by
                    categorised.source_account_id,
                    categorised.pipeline_id,
                    categorised.is_entry
                order by
                    case when categorised.is_declared then 0 else 1 end,
                    categorised.declared_position nulls last,
                    categorised.declared_order nulls last,
                    -- ends stand behind the stages that lead to them
                    case categorised.source_stage_category
                        when 'won' then 1
                        when 'lost' then 2
                        else 0
                    end,
                    categorised.appearance,
                    categorised.stage_id
            )
        end as stage_position,
        max(categorised.pipeline_name) over (
            partition by categorised.source_account_id, categorised.pipeline_id
        ) as known_pipeline_name
    from categorised

),

final as (

    select
        {{ entity_key([
            "'files'",
            "ranked.source_account_id",
            "ranked.pipeline_id",
            "ranked.stage_id",
        ]) }} || ':1' as stage_version_key,
        {{ entity_key([
            "'files'",
            "ranked.source_account_id",
            "ranked.pipeline_id",
            "ranked.stage_id",
        ]) }} as stage_key,
        'files' as source_system,
        ranked.source_account_id,
        ranked.pipeline_id,
        coalesce(ranked.known_pipeline_name, ranked.pipeline_id) as pipeline_name,
        ranked.stage_id,
        coalesce(ranked.stage_name, ranked.stage_id) as stage_name,
        cast(ranked.stage_position as integer) as stage_position,
        ranked.source_stage_category,
        ranked.declared_funnel_step,
        -- the layout has no requests that wait for acceptance
        false as is_unsorted,
        -- a folder tells its stages as they are now: one version since always
        cast('1970-01-01' as timestamp) as valid_from_at,
        cast(null as timestamp) as valid_to_at,
        true as is_current,
        false as is_deleted
    from ranked

)

select * from final
