with stage_changes as (

    select * from {{ ref("stg_files__stage_changes") }}

),

deals as (

    select * from {{ ref("stg_files__deals") }}

),

-- A change without a pipeline happened in the deal's pipeline.
deal_pipelines as (

    select
        deals.source_account_id,
        deals.deal_id,
        deals.pipeline_id
    from deals
    where deals.pipeline_id is not null

),

logged as (

    select
        stage_changes.source_account_id,
        stage_changes.record_id,
        stage_changes.row_number,
        stage_changes.deal_id,
        stage_changes.from_stage_id,
        stage_changes.to_stage_id,
        stage_changes.changed_by_sales_rep_id,
        stage_changes.change_channel,
        stage_changes.changed_at,
        coalesce(stage_changes.deal_source_system, 'files') as deal_source_system,
        coalesce(
            stage_changes.deal_source_account_id, stage_changes.source_account_id
        ) as deal_source_account_id,
        coalesce(
            stage_changes.pipeline_id, deal_pipelines.pipeline_id, 'default'
        ) as pipeline_id
    from stage_changes
    left join deal_pipelines
        on
            stage_changes.source_account_id = deal_pipelines.source_account_id
            and stage_changes.deal_id = deal_pipelines.deal_id
            and stage_changes.deal_source_system is null

),

final as (

    select
        {{ entity_key(["'files'", "logged.source_account_id", "logged.record_id"]) }}
            as stage_change_key,
        {{ entity_key([
            "logged.deal_source_system",
            "logged.deal_source_account_id",
            "logged.deal_id",
        ]) }} as deal_key,
        'files' as source_system,
        logged.source_account_id,
        logged.changed_at,
        -- rows with equal times keep the file's order
        logged.row_number as source_sequence,
        case when logged.from_stage_id is not null then logged.pipeline_id end as from_pipeline_id,
        logged.from_stage_id,
        {{ entity_key([
            "logged.deal_source_system",
            "logged.deal_source_account_id",
            "logged.pipeline_id",
            "logged.from_stage_id",
        ]) }} as from_stage_key,
        logged.pipeline_id as to_pipeline_id,
        logged.to_stage_id,
        {{ entity_key([
            "logged.deal_source_system",
            "logged.deal_source_account_id",
            "logged.pipeline_id",
            "logged.to_stage_id",
        ]) }} as to_stage_key,
        {{ entity_key([
            "logged.deal_source_system",
            "logged.deal_source_account_id",
            "logged.changed_by_sales_rep_id",
        ]) }} as changed_by_sales_rep_key,
        coalesce(logged.change_channel, 'unknown') as change_channel
    from logged

)

select * from final
