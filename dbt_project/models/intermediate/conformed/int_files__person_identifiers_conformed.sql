with persons as (

    select * from {{ ref("stg_files__persons") }}

),

deals as (

    select * from {{ ref("stg_files__deals") }}

),

visits as (

    select * from {{ ref("int_files__visits_conformed") }}

),

identifiers as (

    select
        {{ entity_key(["'files'", "persons.source_account_id", "persons.person_id"]) }}
            as person_key,
        'phone' as identifier_kind,
        persons.phone as identifier_text
    from persons
    where persons.phone is not null
    union
    select
        {{ entity_key(["'files'", "persons.source_account_id", "persons.person_id"]) }}
            as person_key,
        'email' as identifier_kind,
        persons.email as identifier_text
    from persons
    where persons.email is not null
    union
    select
        {{ entity_key(["'files'", "deals.source_account_id", "deals.person_id"]) }}
            as person_key,
        'client_id' as identifier_kind,
        deals.client_id as identifier_text
    from deals
    where deals.person_id is not null and deals.client_id is not null
    union
    select
        visits.person_key,
        'client_id' as identifier_kind,
        visits.client_id as identifier_text
    from visits
    where visits.person_key is not null and visits.client_id is not null

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
