{%- set shape -%}
{
    "name": "VARCHAR", "price": "VARCHAR", "price_with_minor_units": "VARCHAR",
    "responsible_user_id": "VARCHAR", "status_id": "VARCHAR", "pipeline_id": "VARCHAR",
    "loss_reason_id": "VARCHAR", "created_at": "VARCHAR", "updated_at": "VARCHAR",
    "closed_at": "VARCHAR", "is_deleted": "VARCHAR",
    "custom_fields_values": [
        {"field_code": "VARCHAR", "field_name": "VARCHAR", "values": [{"value": "VARCHAR"}]}
    ],
    "_embedded": {
        "tags": [{"name": "VARCHAR"}],
        "contacts": [{"id": "VARCHAR", "is_main": "VARCHAR"}],
        "companies": [{"id": "VARCHAR"}],
        "loss_reason": "JSON",
        "source": "JSON",
        "catalog_elements": [{"id": "VARCHAR", "metadata": {"catalog_id": "VARCHAR"}}]
    }
}
{%- endset -%}
with records as (

    {{ new_records("raw_amocrm", "leads") }}

),

parsed as (

    select
        records.*,
        from_json(records.payload, '{{ shape }}') as lead
    from records

),

-- A tracking field is known by its code; a hand-made one only by its name.
fields as (

    select
        parsed.*,
        coalesce(parsed.lead.price_with_minor_units, parsed.lead.price) as price_text,
        nullif(parsed.lead.closed_at, '0') as closed_at_text,
        list_transform(
            parsed.lead.custom_fields_values, lambda field: lower(field.field_code)
        ) as field_codes,
        list_transform(
            parsed.lead.custom_fields_values, lambda field: lower(field.field_name)
        ) as field_names,
        list_transform(
            parsed.lead.custom_fields_values, lambda field: field.values[1].value
        ) as field_values
    from parsed

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.lead.pipeline_id,
        records.lead.status_id,
        nullif(records.lead.responsible_user_id, '0') as responsible_user_id,
        coalesce(
            list_filter(
                records.lead._embedded.contacts, lambda contact: contact.is_main = 'true'
            )[1].id,
            records.lead._embedded.contacts[1].id
        ) as main_contact_id,
        records.lead._embedded.companies[1].id as first_company_id,
        records.lead.loss_reason_id,
        list_transform(
            records.lead._embedded.catalog_elements, lambda element: element.id
        ) as catalog_element_ids,
        list_transform(
            records.lead._embedded.catalog_elements,
            lambda element: element.metadata.catalog_id
        ) as catalog_ids,
        -- attributes
        records.lead.name as lead_name,
        -- documented as an object, answered as a list
        case
            when records.lead._embedded.loss_reason is not null
                then coalesce(
                    json_extract_string(records.lead._embedded.loss_reason, '$[0].name'),
                    json_extract_string(records.lead._embedded.loss_reason, '$.name')
                )
        end as embedded_loss_reason,
        json_extract_string(records.lead._embedded.source, '$.name') as source_name,
        array_to_string(
            list_transform(records.lead._embedded.tags, lambda tag: tag.name), '|'
        ) as tags,
        {{ custom_field(["utm_source"]) }} as utm_source,
        {{ custom_field(["utm_medium"]) }} as utm_medium,
        {{ custom_field(["utm_campaign"]) }} as utm_campaign,
        {{ custom_field(["utm_content"]) }} as utm_content,
        {{ custom_field(["utm_term"]) }} as utm_term,
        {{ custom_field(["_ym_uid"]) }} as ym_client_id,
        {{ custom_field(["yclid", "gclid"]) }} as click_id,
        coalesce({{ try_cast("records.lead.is_deleted", "boolean") }}, false) as is_deleted,
        -- amounts
        {{ try_cast("records.price_text", "decimal(18, 2)") }} as price,
        -- timestamps
        {{ unix_to_timestamp("records.lead.created_at") }} as created_at,
        {{ unix_to_timestamp("records.lead.updated_at") }} as updated_at,
        {{ unix_to_timestamp("records.closed_at_text") }} as closed_at,
        {{ version_metadata(failed_casts([
            ("price", "records.price_text", try_cast("records.price_text", "decimal(18, 2)")),
            ("is_deleted", "records.lead.is_deleted", try_cast("records.lead.is_deleted", "boolean")),
            ("created_at", "records.lead.created_at", unix_to_timestamp("records.lead.created_at")),
            ("updated_at", "records.lead.updated_at", unix_to_timestamp("records.lead.updated_at")),
            ("closed_at", "records.closed_at_text", unix_to_timestamp("records.closed_at_text")),
        ], [
            ("custom_fields_values", "records.payload", "records.lead.custom_fields_values"),
            ("_embedded", "records.payload", "records.lead._embedded"),
        ])) }}
    from fields as records

)

select * from final
