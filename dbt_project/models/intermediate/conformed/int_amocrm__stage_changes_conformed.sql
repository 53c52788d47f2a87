with events as (

    select *
    from {{ ref("stg_amocrm__events") }}
    where
        event_type = 'lead_status_changed'
        and entity_type = 'lead'
        and after_status_id is not null

),

final as (

    select
        {{ entity_key(["'amocrm'", "events.source_account_id", "events.record_id"]) }}
            as stage_change_key,
        {{ entity_key(["'amocrm'", "events.source_account_id", "events.entity_id"]) }}
            as deal_key,
        'amocrm' as source_system,
        events.source_account_id,
        events.created_at as changed_at,
        -- event ids sort by time of writing and end stage_change_key, which breaks the tie
        cast(0 as bigint) as source_sequence,
        events.before_pipeline_id as from_pipeline_id,
        events.before_status_id as from_stage_id,
        {{ entity_key([
            "'amocrm'",
            "events.source_account_id",
            "events.before_pipeline_id",
            "events.before_status_id",
        ]) }} as from_stage_key,
        events.after_pipeline_id as to_pipeline_id,
        events.after_status_id as to_stage_id,
        {{ entity_key([
            "'amocrm'",
            "events.source_account_id",
            "events.after_pipeline_id",
            "events.after_status_id",
        ]) }} as to_stage_key,
        {{ entity_key(["'amocrm'", "events.source_account_id", "events.created_by"]) }}
            as changed_by_sales_rep_key,
        -- author 0 is a robot or the API
        case
            when events.created_by is not null then 'human'
            when events.is_created_by_robot then 'automation'
            else 'unknown'
        end as change_channel
    from events

)

select * from final
