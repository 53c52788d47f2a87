with contacts as (

    select * from {{ ref("stg_amocrm__contacts") }}

),

deals as (

    select * from {{ ref("int_amocrm__deals_conformed") }}

),

known as (

    select
        {{ entity_key(["'amocrm'", "contacts.source_account_id", "contacts.record_id"]) }} as person_key,
        contacts.source_account_id,
        contacts.record_id as person_id,
        {{ entity_key(["'amocrm'", "contacts.source_account_id", "contacts.first_company_id"]) }}
            as company_key,
        contacts.created_at
    from contacts

),

-- A contact that a deal names before the contact itself was read, or after it was deleted.
mentioned as (

    select
        deals.person_key,
        deals.source_account_id,
        cast(null as varchar) as company_key,
        cast(null as timestamp) as created_at
    from deals
    left join known on deals.person_key = known.person_key
    where deals.person_key is not null and known.person_key is null
    group by
        deals.person_key,
        deals.source_account_id

),

final as (

    select
        known.person_key,
        'amocrm' as source_system,
        known.source_account_id,
        known.person_id,
        known.company_key,
        known.created_at,
        -- amoCRM has no segment
        cast(null as varchar) as declared_segment
    from known
    union all
    select
        mentioned.person_key,
        'amocrm' as source_system,
        mentioned.source_account_id,
        -- amoCRM ids are numbers, so the key's last part is the id
        split_part(mentioned.person_key, ':', 3) as person_id,
        mentioned.company_key,
        mentioned.created_at,
        cast(null as varchar) as declared_segment
    from mentioned

)

select * from final
