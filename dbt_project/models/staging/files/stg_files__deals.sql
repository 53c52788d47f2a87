with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "deals") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.deal_id,
        records.pipeline_id,
        records.stage_id,
        records.sales_rep_id,
        records.person_id,
        records.company_id,
        records.client_id,
        -- attributes
        records.name as deal_name,
        records.url as deal_url,
        records.outcome as declared_outcome,
        records.segment as declared_segment,
        records.channel as declared_channel,
        records.utm_source,
        records.utm_medium,
        records.utm_campaign,
        records.utm_content,
        records.utm_term,
        records.loss_reason,
        records.loss_text,
        records.currency_code,
        {{ try_cast("records.is_deleted", "boolean") }} as is_deleted,
        -- amounts
        {{ try_cast("records.deal_amount", "decimal(18, 2)") }} as deal_native_amount,
        -- timestamps
        {{ try_cast("records.created_at", "timestamp") }} as created_at,
        {{ try_cast("records.updated_at", "timestamp") }} as updated_at,
        {{ try_cast("records.closed_at", "timestamp") }} as closed_at,
        -- load metadata
        {{ failed_casts([
            ("is_deleted", "records.is_deleted", try_cast("records.is_deleted", "boolean")),
            ("deal_native_amount", "records.deal_amount", try_cast("records.deal_amount", "decimal(18, 2)")),
            ("created_at", "records.created_at", try_cast("records.created_at", "timestamp")),
            ("updated_at", "records.updated_at", try_cast("records.updated_at", "timestamp")),
            ("closed_at", "records.closed_at", try_cast("records.closed_at", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
