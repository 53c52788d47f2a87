with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "stage_changes") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.change_id,
        records.deal_source_system,
        records.deal_source_account_id,
        records.deal_id,
        records.pipeline_id,
        records.from_stage_id,
        records.to_stage_id,
        records.changed_by_sales_rep_id,
        -- attributes
        records.change_channel,
        -- timestamps
        {{ try_cast("records.changed_at", "timestamp") }} as changed_at,
        -- load metadata
        {{ failed_casts([
            ("changed_at", "records.changed_at", try_cast("records.changed_at", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
