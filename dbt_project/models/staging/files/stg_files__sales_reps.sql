with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "sales_reps") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.sales_rep_id,
        -- attributes
        records.sales_rep_name,
        records.team_name,
        {{ try_cast("records.is_active", "boolean") }} as is_active,
        -- load metadata
        {{ failed_casts([
            ("is_active", "records.is_active", try_cast("records.is_active", "boolean")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
