with contact_identifiers as (

    select * from {{ ref("stg_amocrm__contact_identifiers") }}

),

deals as (

    select * from {{ ref("int_amocrm__deals_conformed") }}

),

identifiers as (

    select
        {{ entity_key([
            "'amocrm'",
            "contact_identifiers.source_account_id",
            "contact_identifiers.record_id",
        ]) }} as person_key,
        contact_identifiers.identifier_kind,
        contact_identifiers.identifier_text
    from contact_identifiers
    union all
    select distinct
        deals.person_key,
        'client_id' as identifier_kind,
        deals.client_id as identifier_text
    from deals
    where deals.person_key is not null and deals.client_id is not null

),

final as (

    select distinct
        identifiers.person_key,
        identifiers.identifier_kind,
        {{ identifier_value("identifiers.identifier_kind", "identifiers.identifier_text") }}
            as identifier_value,
        {{ is_functional_mailbox("identifiers.identifier_kind", "identifiers.identifier_text") }}
            as is_functional_mailbox
    from identifiers

)

select * from final
