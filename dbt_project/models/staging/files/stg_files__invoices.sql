with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "invoices") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.invoice_id,
        records.deal_source_system,
        records.deal_source_account_id,
        records.deal_id,
        -- attributes
        records.invoice_number,
        records.payer_tax_id,
        records.status,
        records.currency_code,
        -- amounts
        {{ try_cast("records.invoice_amount", "decimal(18, 2)") }} as invoice_native_amount,
        -- timestamps
        {{ try_cast("records.issued_at", "timestamp") }} as issued_at,
        {{ try_cast("records.due_at", "timestamp") }} as due_at,
        -- load metadata
        {{ failed_casts([
            ("invoice_native_amount", "records.invoice_amount", try_cast("records.invoice_amount", "decimal(18, 2)")),
            ("issued_at", "records.issued_at", try_cast("records.issued_at", "timestamp")),
            ("due_at", "records.due_at", try_cast("records.due_at", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
