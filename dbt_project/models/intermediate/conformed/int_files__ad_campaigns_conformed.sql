with ad_spend as (

    select * from {{ ref("stg_files__ad_spend") }}

),

-- The newest name of a campaign that reports name by id.
campaigns as (

    select
        ad_spend.platform,
        coalesce(ad_spend.account_id, ad_spend.source_account_id) as source_account_id,
        ad_spend.campaign_id,
        ad_spend.campaign_name
    from ad_spend
    where ad_spend.campaign_id is not null
    qualify row_number() over (
        partition by
            ad_spend.platform,
            coalesce(ad_spend.account_id, ad_spend.source_account_id),
            ad_spend.campaign_id
        order by
            case when ad_spend.campaign_name is null then 1 else 0 end,
            ad_spend.spend_date desc,
            ad_spend.row_number desc
    ) = 1

),

final as (

    select
        {{ entity_key([
            "campaigns.platform",
            "campaigns.source_account_id",
            "campaigns.campaign_id",
        ]) }} as campaign_key,
        campaigns.platform,
        campaigns.source_account_id,
        campaigns.campaign_id,
        campaigns.campaign_name
    from campaigns

)

select * from final
