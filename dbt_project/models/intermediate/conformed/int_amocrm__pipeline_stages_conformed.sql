with snapshots as (

    select * from {{ ref("stg_amocrm__pipeline_stages") }}

),

leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

events as (

    select * from {{ ref("stg_amocrm__events") }}
    where event_type = 'lead_status_changed'

),

pipeline_versions as (

    select
        snapshots.source_account_id,
        snapshots.record_id as pipeline_id,
        snapshots._load_id,
        snapshots._pull_id,
        min(snapshots.observed_at) as observed_at,
        max(snapshots.pipeline_name) as pipeline_name,
        row_number() over (
            partition by snapshots.source_account_id, snapshots.record_id
            order by min(snapshots._loaded_at), min(snapshots.observed_at), snapshots._pull_id
        ) as version_number
    from snapshots
    group by
        snapshots.source_account_id,
        snapshots.record_id,
        snapshots._load_id,
        snapshots._pull_id

),

-- The position is a rank among the stages of that moment, so that a step is a step.
ranked as (

    select
        pipeline_versions.source_account_id,
        pipeline_versions.pipeline_id,
        pipeline_versions.version_number,
        snapshots.status_id,
        snapshots.status_name,
        snapshots.status_type,
        row_number() over (
            partition by
                pipeline_versions.source_account_id,
                pipeline_versions.pipeline_id,
                pipeline_versions.version_number
            order by snapshots.status_sort nulls last, snapshots.status_id
        ) as stage_position
    from snapshots
    inner join pipeline_versions
        on
            snapshots.source_account_id = pipeline_versions.source_account_id
            and snapshots.record_id = pipeline_versions.pipeline_id
            and snapshots._load_id = pipeline_versions._load_id
            and snapshots._pull_id = pipeline_versions._pull_id
    where snapshots.status_id is not null

),

stages as (

    select
        ranked.source_account_id,
        ranked.pipeline_id,
        ranked.status_id,
        min(ranked.version_number) as first_version_number
    from ranked
    group by
        ranked.source_account_id,
        ranked.pipeline_id,
        ranked.status_id

),

-- One row per stage and version of its pipeline since the stage was first seen; where the stage
-- is absent it is deleted and keeps what was last known of it.
states as (

    select
        stages.source_account_id,
        stages.pipeline_id,
        stages.status_id,
        pipeline_versions.version_number,
        pipeline_versions.observed_at,
        ranked.status_id is null as is_deleted,
        max(ranked.version_number) over (
            partition by stages.source_account_id, stages.pipeline_id, stages.status_id
            order by pipeline_versions.version_number
            rows between unbounded preceding and current row
        ) as known_version_number
    from stages
    inner join pipeline_versions
        on
            stages.source_account_id = pipeline_versions.source_account_id
            and stages.pipeline_id = pipeline_versions.pipeline_id
            and stages.first_version_number <= pipeline_versions.version_number
    left join ranked
        on
            stages.source_account_id = ranked.source_account_id
            and stages.pipeline_id = ranked.pipeline_id
            and stages.status_id = ranked.status_id
            and pipeline_versions.version_number = ranked.version_number

),

described as (

    select
        states.*,
        known_versions.pipeline_name,
        ranked.status_name,
        ranked.status_type,
        ranked.stage_position,
        concat_ws(
            '|',
            known_versions.pipeline_name,
            ranked.status_name,
            cast(ranked.status_type as varchar),
            cast(ranked.stage_position as varchar),
            cast(states.is_deleted as varchar)
        ) as description
    from states
    inner join ranked
        on
            states.source_account_id = ranked.source_account_id
            and states.pipeline_id = ranked.pipeline_id
            and states.status_id = ranked.status_id
            and states.known_version_number = ranked.version_number
    inner join pipeline_versions as known_versions
        on
            states.source_account_id = known_versions.source_account_id
            and states.pipeline_id = known_versions.pipeline_id
            and states.known_version_number = known_versions.version_number

),

compared as (

    select
        described.*,
        lag(described.description) over (
            partition by described.source_account_id, described.pipeline_id, described.status_id
            order by described.version_number
        ) as description_before
    from described

),

dated as (

    select
        compared.*,
        row_number() over (
            partition by compared.source_account_id, compared.pipeline_id, compared.status_id
            order by compared.version_number
        ) as stage_version_number,
        lead(compared.observed_at) over (
            partition by compared.source_account_id, compared.pipeline_id, compared.status_id
            order by compared.version_number
        ) as valid_to_at
    from compared
    where
        compared.description_before is null
        or compared.description_before <> compared.description

),

-- Stages that only records and old events name: deleted before we first looked.
mentioned as (

    select
        leads.source_account_id,
        leads.pipeline_id,
        leads.status_id
    from leads
    where leads.pipeline_id is not null and leads.status_id is not null
    union
    select
        events.source_account_id,
        events.before_pipeline_id as pipeline_id,
        events.before_status_id as status_id
    from events
    where events.before_pipeline_id is not null and events.before_status_id is not null
    union
    select
        events.source_account_id,
        events.after_pipeline_id as pipeline_id,
        events.after_status_id as status_id
    from events
    where events.after_pipeline_id is not null and events.after_status_id is not null

),

pipelines as (

    select
        dated.source_account_id,
        dated.pipeline_id,
        max(dated.pipeline_name) as pipeline_name
    from dated
    where dated.valid_to_at is null
    group by
        dated.source_account_id,
        dated.pipeline_id

),

unknown as (

    select
        mentioned.source_account_id,
        mentioned.pipeline_id,
        mentioned.status_id,
        pipelines.pipeline_name
    from mentioned
    left join stages
        on
            mentioned.source_account_id = stages.source_account_id
            and mentioned.pipeline_id = stages.pipeline_id
            and mentioned.status_id = stages.status_id
    left join pipelines
        on
            mentioned.source_account_id = pipelines.source_account_id
            and mentioned.pipeline_id = pipelines.pipeline_id
    where stages.status_id is null

),

versions as (

    select
        dated.source_account_id,
        dated.pipeline_id,
        dated.pipeline_name,
        dated.status_id,
        dated.status_name,
        dated.stage_position,
        case dated.status_id when '142' then 'won' when '143' then 'lost' else 'open' end
            as source_stage_category,
        coalesce(dated.status_type = 1, false) as is_unsorted,
        dated.stage_version_number,
        case
            when dated.stage_version_number = 1 then cast('1970-01-01' as timestamp)
            else dated.observed_at
        end as valid_from_at,
        dated.valid_to_at,
        dated.is_deleted
    from dated
    union all
    select
        unknown.source_account_id,
        unknown.pipeline_id,
        unknown.pipeline_name,
        unknown.status_id,
        cast(null as varchar) as status_name,
        cast(null as bigint) as stage_position,
        case unknown.status_id when '142' then 'won' when '143' then 'lost' end
            as source_stage_category,
        false as is_unsorted,
        1 as stage_version_number,
        cast('1970-01-01' as timestamp) as valid_from_at,
        cast(null as timestamp) as valid_to_at,
        true as is_deleted
    from unknown

),

final as (

    select
        {{ entity_key([
            "'amocrm'",
            "versions.source_account_id",
            "versions.pipeline_id",
            "versions.status_id",
            "versions.stage_version_number",
        ]) }} as stage_version_key,
        {{ entity_key([
            "'amocrm'",
            "versions.source_account_id",
            "versions.pipeline_id",
            "versions.status_id",
        ]) }} as stage_key,
        'amocrm' as source_system,
        versions.source_account_id,
        versions.pipeline_id,
        versions.pipeline_name,
        versions.status_id as stage_id,
        versions.status_name as stage_name,
        cast(versions.stage_position as integer) as stage_position,
        versions.source_stage_category,
        -- amoCRM knows no common steps; the company's stage_map names them
        cast(null as varchar) as declared_funnel_step,
        versions.is_unsorted,
        versions.valid_from_at,
        versions.valid_to_at,
        versions.valid_to_at is null as is_current,
        versions.is_deleted
    from versions

)

select * from final
