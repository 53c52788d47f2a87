with visits as (

    select * from {{ ref("stg_files__visits") }}

),

final as (

    select
        {{ entity_key(["'files'", "visits.source_account_id", "visits.visit_id"]) }}
            as visit_key,
        'files' as source_system,
        visits.source_account_id,
        visits.visit_id,
        visits.visited_at,
        {{ entity_key([
            "coalesce(visits.deal_source_system, 'files')",
            "coalesce(visits.deal_source_account_id, visits.source_account_id)",
            "visits.person_id",
        ]) }} as person_key,
        visits.client_id,
        -- the layout has no click id
        cast(null as varchar) as click_id,
        visits.declared_channel,
        {{ utm_word("visits.utm_source") }} as utm_source,
        {{ utm_word("visits.utm_medium") }} as utm_medium,
        {{ utm_word("visits.utm_campaign") }} as utm_campaign,
        {{ utm_word("visits.utm_content") }} as utm_content,
        {{ utm_word("visits.utm_term") }} as utm_term,
        visits.referrer,
        visits.landing_url
    from visits

)

select * from final
