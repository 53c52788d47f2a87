{%- set shape -%}
{
    "created_at": "VARCHAR", "is_deleted": "VARCHAR",
    "custom_fields_values": [{"field_code": "VARCHAR", "values": [{"value": "VARCHAR"}]}],
    "_embedded": {"companies": [{"id": "VARCHAR"}]}
}
{%- endset -%}
with records as (

    {{ new_records("raw_amocrm", "contacts") }}

),

parsed as (

    select
        records.*,
        from_json(records.payload, '{{ shape }}') as contact
    from records

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.contact._embedded.companies[1].id as first_company_id,
        -- attributes
        flatten(
            list_transform(
                list_filter(
                    records.contact.custom_fields_values,
                    lambda field: lower(field.field_code) = 'phone'
                ),
                lambda field: list_transform(field.values, lambda item: item.value)
            )
        ) as phones,
        flatten(
            list_transform(
                list_filter(
                    records.contact.custom_fields_values,
                    lambda field: lower(field.field_code) = 'email'
                ),
                lambda field: list_transform(field.values, lambda item: item.value)
            )
        ) as emails,
        -- timestamps
        {{ unix_to_timestamp("records.contact.created_at") }} as created_at,
        {{ version_metadata(failed_casts([
            ("created_at", "records.contact.created_at", unix_to_timestamp("records.contact.created_at")),
        ], [
            ("custom_fields_values", "records.payload", "records.contact.custom_fields_values"),
            ("_embedded", "records.payload", "records.contact._embedded"),
        ])) }}
    from parsed as records

)

select * from final
