select * from {{ ref("int_yandex_direct__ad_campaign_names_conformed") }}
union all
select * from {{ ref("int_vk_ads__ad_campaign_names_conformed") }}
union all
select * from {{ ref("int_files__ad_campaign_names_conformed") }}
