{{ config(materialized="table") }}

with known_stages as (

    select * from {{ ref("int_pipeline_stages_unioned") }}

),

stage_map as (

    select * from {{ ref("stg_company__stage_map") }}

),

pipeline_roles as (

    select * from {{ ref("stg_company__pipeline_roles") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

pipelines_of_deals as (

    select distinct
        deals.source_system,
        deals.source_account_id,
        coalesce(deals.pipeline_id, 'default') as pipeline_id
    from deals

),

pipeline_names as (

    select
        known_stages.source_system,
        known_stages.source_account_id,
        known_stages.pipeline_id,
        max(known_stages.pipeline_name) as pipeline_name,
        coalesce(max(known_stages.stage_position), 0) as last_position
    from known_stages
    where known_stages.is_current
    group by
        known_stages.source_system,
        known_stages.source_account_id,
        known_stages.pipeline_id

),

-- Where a closed deal has no log, nothing is known of it before but that it was created; where its
-- outcome stands beside a stage that tells no end, it ended in no stage of the source.
implied_stages as (

    select
        pipelines_of_deals.*,
        'created' as stage_id,
        'open' as stage_category
    from pipelines_of_deals
    union all
    select distinct
        deals.source_system,
        deals.source_account_id,
        coalesce(deals.pipeline_id, 'default') as pipeline_id,
        deals.declared_outcome as stage_id,
        deals.declared_outcome as stage_category
    from deals
    left join known_stages
        on
            deals.stage_key = known_stages.stage_key
            and known_stages.is_current
    where
        deals.declared_outcome in ('won', 'lost')
        and coalesce(known_stages.source_stage_category, 'open') = 'open'

),

new_stages as (

    select
        {{ entity_key([
            "implied_stages.source_system",
            "implied_stages.source_account_id",
            "implied_stages.pipeline_id",
            "implied_stages.stage_id",
        ]) }} as stage_key,
        implied_stages.source_system,
        implied_stages.source_account_id,
        implied_stages.pipeline_id,
        coalesce(pipeline_names.pipeline_name, implied_stages.pipeline_id)
            as pipeline_name,
        implied_stages.stage_id,
        implied_stages.stage_category,
        -- behind all others, in the order in which amoCRM has them
        case implied_stages.stage_id
            when 'created' then 0
            when 'won' then coalesce(pipeline_names.last_position, 0) + 1
            else coalesce(pipeline_names.last_position, 0) + 2
        end as stage_position
    from implied_stages
    left join pipeline_names
        on
            implied_stages.source_system = pipeline_names.source_system
            and implied_stages.source_account_id
            = pipeline_names.source_account_id
            and implied_stages.pipeline_id = pipeline_names.pipeline_id
    left join known_stages
        on
            implied_stages.source_system = known_stages.source_system
            and implied_stages.source_account_id = known_stages.source_account_id
            and implied_stages.pipeline_id = known_stages.pipeline_id
            and implied_stages.stage_id = known_stages.stage_id
            and known_stages.is_current
    where known_stages.stage_key is null

),

stages as (

    select
        known_stages.stage_version_key,
        known_stages.stage_key,
        known_stages.source_system,
        known_stages.source_account_id,
        known_stages.pipeline_id,
        known_stages.pipeline_name,
        known_stages.stage_id,
        known_stages.stage_name,
        known_stages.stage_position,
        known_stages.source_stage_category,
        known_stages.declared_funnel_step,
        coalesce(known_stages.is_unsorted, false) as is_unsorted,
        known_stages.valid_from_at,
        known_stages.valid_to_at,
        known_stages.is_current,
        coalesce(known_stages.is_deleted, false) as is_deleted,
        false as is_implied
    from known_stages
    union all
    select
        {{ dbt.concat(["new_stages.stage_key", "':1'"]) }} as stage_version_key,
        new_stages.stage_key,
        new_stages.source_system,
        new_stages.source_account_id,
        new_stages.pipeline_id,
        new_stages.pipeline_name,
        new_stages.stage_id,
        new_stages.stage_id as stage_name,
        new_stages.stage_position,
        new_stages.stage_category as source_stage_category,
        cast(null as {{ dbt.type_string() }}) as declared_funnel_step,
        false as is_unsorted,
        cast('1970-01-01' as timestamp) as valid_from_at,
        cast(null as timestamp) as valid_to_at,
        true as is_current,
        false as is_deleted,
        true as is_implied
    from new_stages

),

stage_rules as (

    select
        stages.stage_version_key,
        stage_map.stage_category,
        stage_map.funnel_step
    from stages
    inner join stage_map
        on {{ stage_match("stages") }}
    where not stages.is_implied
    qualify row_number() over (
        partition by stages.stage_version_key
        order by
            stage_map.priority asc nulls last,
            stage_map.stage_category asc nulls last,
            stage_map.funnel_step asc nulls last
    ) = 1

),

role_rules as (

    select
        stages.stage_version_key,
        pipeline_roles.pipeline_role
    from stages
    inner join pipeline_roles
        on {{ pipeline_match("stages") }}
    qualify row_number() over (
        partition by stages.stage_version_key
        order by
            pipeline_roles.priority asc nulls last,
            pipeline_roles.pipeline_role asc nulls last
    ) = 1

),

-- A stage nobody named is open if a deal in it is. That all in it are lost does not make it an end:
-- those who were won may have passed it.
told_by_deals as (

    select distinct
        deals.stage_key,
        deals.declared_outcome as stage_category
    from deals
    where
        deals.stage_key is not null
        and deals.declared_outcome = 'open'

),

final as (

    select
        stages.stage_version_key,
        stages.stage_key,
        stages.source_system,
        stages.source_account_id,
        stages.pipeline_id,
        stages.pipeline_name,
        coalesce(role_rules.pipeline_role, 'sales') as pipeline_role,
        stages.stage_id,
        stages.stage_name,
        stages.stage_position,
        coalesce(
            stage_rules.stage_category,
            stages.source_stage_category,
            told_by_deals.stage_category,
            'open'
        ) as stage_category,
        coalesce(
            stage_rules.funnel_step, stages.declared_funnel_step
        ) as funnel_step,
        coalesce(
            stage_rules.stage_category,
            stages.source_stage_category,
            told_by_deals.stage_category
        ) is not null as is_mapped,
        stage_rules.stage_category is not null as is_ruled,
        stages.is_unsorted,
        stages.valid_from_at,
        stages.valid_to_at,
        stages.is_current,
        stages.is_deleted,
        stages.is_implied
    from stages
    left join stage_rules
        on stages.stage_version_key = stage_rules.stage_version_key
    left join role_rules
        on stages.stage_version_key = role_rules.stage_version_key
    left join told_by_deals
        on stages.stage_key = told_by_deals.stage_key

)

select * from final
