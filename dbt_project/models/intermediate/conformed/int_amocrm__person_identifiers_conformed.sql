with contact_identifiers as (

    select * from {{ ref("stg_amocrm__contact_identifiers") }}

),

leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

identifiers as (

    select
        contact_identifiers.source_account_id,
        contact_identifiers.record_id as contact_id,
        contact_identifiers.identifier_kind,
        contact_identifiers.identifier_text
    from contact_identifiers
    union all
    select
        leads.source_account_id,
        leads.main_contact_id as contact_id,
        'client_id' as identifier_kind,
        leads.ym_client_id as identifier_text
    from leads
    where leads.main_contact_id is not null and leads.ym_client_id is not null

),

final as (

    select distinct
        {{ entity_key(["'amocrm'", "identifiers.source_account_id", "identifiers.contact_id"]) }}
            as person_key,
        identifiers.identifier_kind,
        {{ identifier_value("identifiers.identifier_kind", "identifiers.identifier_text") }}
            as identifier_value,
        {{ is_functional_mailbox("identifiers.identifier_kind", "identifiers.identifier_text") }}
            as is_functional_mailbox
    from identifiers

)

select * from final
