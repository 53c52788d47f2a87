with leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

final as (

    select
        leads.source_account_id,
        leads.record_id as lead_id,
        leads.created_at as lead_created_at,
        unnest(leads.catalog_element_ids) as element_id,
        unnest(leads.catalog_ids) as catalog_id
    from leads
    where len(leads.catalog_element_ids) > 0

)

select * from final
