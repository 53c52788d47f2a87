with companies as (

    select * from {{ ref("stg_amocrm__companies") }}

),

final as (

    select
        {{ entity_key(["'amocrm'", "companies.source_account_id", "companies.record_id"]) }}
            as company_key,
        'amocrm' as source_system,
        companies.source_account_id,
        companies.record_id as company_id,
        companies.company_name,
        -- amoCRM has no segment
        cast(null as varchar) as declared_segment
    from companies

)

select * from final
