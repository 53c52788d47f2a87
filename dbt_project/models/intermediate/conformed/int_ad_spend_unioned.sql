select * from {{ ref("int_yandex_direct__ad_spend_conformed") }}
union all
select * from {{ ref("int_vk_ads__ad_spend_conformed") }}
union all
select * from {{ ref("int_files__ad_spend_conformed") }}
