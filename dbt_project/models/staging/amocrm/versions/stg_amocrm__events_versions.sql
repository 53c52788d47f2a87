{%- set shape -%}
{
    "type": "VARCHAR", "entity_type": "VARCHAR", "entity_id": "VARCHAR",
    "created_by": "VARCHAR", "created_at": "VARCHAR",
    "value_before": [{"lead_status": {"id": "VARCHAR", "pipeline_id": "VARCHAR"}}],
    "value_after": [{"lead_status": {"id": "VARCHAR", "pipeline_id": "VARCHAR"}}]
}
{%- endset -%}
with records as (

    {{ new_records("raw_amocrm", "events") }}

),

parsed as (

    select
        records.*,
        from_json(records.payload, '{{ shape }}') as event
    from records

),

moves as (

    select
        parsed.*,
        parsed.event.value_before[1].lead_status as status_before,
        parsed.event.value_after[1].lead_status as status_after
    from parsed

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.event.entity_id,
        nullif(records.event.created_by, '0') as created_by,
        -- attributes
        records.event.type as event_type,
        records.event.entity_type,
        records.event.created_by = '0' as is_created_by_robot,
        records.status_before.pipeline_id as before_pipeline_id,
        records.status_before.id as before_status_id,
        records.status_after.pipeline_id as after_pipeline_id,
        records.status_after.id as after_status_id,
        -- timestamps
        {{ unix_to_timestamp("records.event.created_at") }} as created_at,
        {{ version_metadata(failed_casts([
            ("created_at", "records.event.created_at", unix_to_timestamp("records.event.created_at")),
            (
                "value_after",
                "case when records.event.type = 'lead_status_changed' then records.event.type end",
                "records.status_after.id",
            ),
        ])) }}
    from moves as records

)

select * from final
