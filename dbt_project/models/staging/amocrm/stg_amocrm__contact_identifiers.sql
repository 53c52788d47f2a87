with contacts as (

    select * from {{ ref("stg_amocrm__contacts") }}

),

identifiers as (

    select
        contacts.source_account_id,
        contacts.record_id,
        'phone' as identifier_kind,
        unnest(contacts.phones) as identifier_text
    from contacts
    union
    select
        contacts.source_account_id,
        contacts.record_id,
        'email' as identifier_kind,
        unnest(contacts.emails) as identifier_text
    from contacts

),

final as (

    select *
    from identifiers
    where identifier_text is not null

)

select * from final
