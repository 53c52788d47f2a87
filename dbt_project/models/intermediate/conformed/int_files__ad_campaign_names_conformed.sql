with ad_spend as (

    select * from {{ ref("stg_files__ad_spend") }}

),

final as (

    select distinct
        {{ entity_key([
            "ad_spend.platform",
            "coalesce(ad_spend.account_id, ad_spend.source_account_id)",
            "ad_spend.campaign_id",
        ]) }} as campaign_key,
        ad_spend.campaign_name
    from ad_spend
    where
        ad_spend.campaign_id is not null
        and ad_spend.campaign_name is not null

)

select * from final
