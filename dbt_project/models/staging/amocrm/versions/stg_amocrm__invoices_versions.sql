{%- set shape -%}
{
    "name": "VARCHAR", "catalog_id": "VARCHAR", "created_at": "VARCHAR", "updated_at": "VARCHAR",
    "is_deleted": "VARCHAR",
    "custom_fields_values": [
        {
            "field_code": "VARCHAR",
            "values": [{"value": "JSON", "enum_code": "VARCHAR"}]
        }
    ]
}
{%- endset -%}
with records as (

    {{ new_records("raw_amocrm", "invoices") }}

),

parsed as (

    select
        records.*,
        from_json(records.payload, '{{ shape }}') as invoice
    from records

),

fields as (

    select
        parsed.*,
        list_filter(
            parsed.invoice.custom_fields_values,
            lambda field: lower(field.field_code) = 'bill_status'
        )[1].values[1] as bill_status,
        list_filter(
            parsed.invoice.custom_fields_values,
            lambda field: lower(field.field_code) = 'bill_price'
        )[1].values[1] as bill_price,
        list_filter(
            parsed.invoice.custom_fields_values,
            lambda field: lower(field.field_code) = 'bill_payment_date'
        )[1].values[1] as bill_payment_date,
        list_filter(
            parsed.invoice.custom_fields_values,
            lambda field: lower(field.field_code) = 'payer'
        )[1].values[1] as payer
    from parsed

),

texts as (

    select
        fields.*,
        fields.bill_price.value ->> '$' as price_text,
        nullif(fields.bill_payment_date.value ->> '$', '0') as paid_at_text
    from fields

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.invoice.catalog_id,
        json_extract_string(records.payer.value, '$.entity_type') as payer_type,
        json_extract_string(records.payer.value, '$.entity_id') as payer_id,
        -- attributes
        records.invoice.name as invoice_name,
        lower(records.bill_status.enum_code) as status_code,
        records.bill_status.value ->> '$' as status_name,
        coalesce({{ try_cast("records.invoice.is_deleted", "boolean") }}, false) as is_deleted,
        -- amounts
        {{ try_cast("records.price_text", "decimal(18, 2)") }} as price,
        -- timestamps
        {{ unix_to_timestamp("records.invoice.created_at") }} as created_at,
        {{ unix_to_timestamp("records.invoice.updated_at") }} as updated_at,
        {{ unix_to_timestamp("records.paid_at_text") }} as paid_at,
        {{ version_metadata(failed_casts([
            ("price", "records.price_text", try_cast("records.price_text", "decimal(18, 2)")),
            ("created_at", "records.invoice.created_at", unix_to_timestamp("records.invoice.created_at")),
            ("updated_at", "records.invoice.updated_at", unix_to_timestamp("records.invoice.updated_at")),
            ("paid_at", "records.paid_at_text", unix_to_timestamp("records.paid_at_text")),
        ], [
            ("custom_fields_values", "records.payload", "records.invoice.custom_fields_values"),
        ])) }}
    from texts as records

)

select * from final
