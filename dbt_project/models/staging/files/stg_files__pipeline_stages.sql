with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "pipeline_stages") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.pipeline_id,
        records.stage_id,
        -- attributes
        records.pipeline_name,
        records.stage_name,
        {{ try_cast("records.stage_position", "integer") }} as stage_position,
        records.stage_category,
        records.funnel_step as declared_funnel_step,
        -- load metadata
        {{ failed_casts([
            ("stage_position", "records.stage_position", try_cast("records.stage_position", "integer")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
