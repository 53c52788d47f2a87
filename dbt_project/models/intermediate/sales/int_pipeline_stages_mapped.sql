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
        max(case when known_stages.stage_id = 'created' then 1 else 0 end) = 1
            as is_created_known
    from known_stages
    where known_stages.is_current
    group by
        known_stages.source_system,
        known_stages.source_account_id,
        known_stages.pipeline_id

),

-- Where a closed deal has no log, nothing is known of it before but that it was created.
created_stages as (

    select
        {{ entity_key([
            "pipelines_of_deals.source_system",
            "pipelines_of_deals.source_account_id",
            "pipelines_of_deals.pipeline_id",
            "'created'",
        ]) }} as stage_key,
        pipelines_of_deals.source_system,
        pipelines_of_deals.source_account_id,
        pipelines_of_deals.pipeline_id,
        coalesce(pipeline_names.pipeline_name, pipelines_of_deals.pipeline_id)
            as pipeline_name
    from pipelines_of_deals
    left join pipeline_names
        on
            pipelines_of_deals.source_system = pipeline_names.source_system
            and pipelines_of_deals.source_account_id
            = pipeline_names.source_account_id
            and pipelines_of_deals.pipeline_id = pipeline_names.pipeline_id
    where not coalesce(pipeline_names.is_created_known, false)

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
        {{ dbt.concat(["created_stages.stage_key", "':1'"]) }} as stage_version_key,
        created_stages.stage_key,
        created_stages.source_system,
        created_stages.source_account_id,
        created_stages.pipeline_id,
        created_stages.pipeline_name,
        'created' as stage_id,
        'created' as stage_name,
        0 as stage_position,
        'open' as source_stage_category,
        cast(null as {{ dbt.type_string() }}) as declared_funnel_step,
        false as is_unsorted,
        cast('1970-01-01' as timestamp) as valid_from_at,
        cast(null as timestamp) as valid_to_at,
        true as is_current,
        false as is_deleted,
        true as is_implied
    from created_stages

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

-- A stage nobody named is terminal when every deal that rests in it says the same outcome.
told_by_deals as (

    select
        deals.stage_key,
        min(deals.declared_outcome) as stage_category
    from deals
    where deals.stage_key is not null
    group by deals.stage_key
    having
        count(*) = count(deals.declared_outcome)
        and min(deals.declared_outcome) = max(deals.declared_outcome)

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
