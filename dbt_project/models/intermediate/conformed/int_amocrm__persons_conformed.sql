with contacts as (

    select * from {{ ref("stg_amocrm__contacts") }}

),

leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

unsorted as (

    select * from {{ ref("stg_amocrm__unsorted") }}

),

-- A contact that a deal names before the contact itself was read, or after it was deleted.
mentioned as (

    select
        leads.source_account_id,
        leads.main_contact_id as contact_id
    from leads
    where leads.main_contact_id is not null
    union
    select
        unsorted.source_account_id,
        unsorted.contact_id
    from unsorted
    where unsorted.contact_id is not null

),

known as (

    select
        contacts.source_account_id,
        contacts.record_id as contact_id,
        contacts.first_company_id,
        contacts.created_at
    from contacts
    union all
    select
        mentioned.source_account_id,
        mentioned.contact_id,
        cast(null as varchar) as first_company_id,
        cast(null as timestamp) as created_at
    from mentioned
    left join contacts
        on
            mentioned.source_account_id = contacts.source_account_id
            and mentioned.contact_id = contacts.record_id
    where contacts.record_id is null

),

final as (

    select
        {{ entity_key(["'amocrm'", "known.source_account_id", "known.contact_id"]) }}
            as person_key,
        'amocrm' as source_system,
        known.source_account_id,
        known.contact_id as person_id,
        {{ entity_key(["'amocrm'", "known.source_account_id", "known.first_company_id"]) }}
            as company_key,
        known.created_at,
        -- amoCRM has no segment
        cast(null as varchar) as declared_segment
    from known

)

select * from final
