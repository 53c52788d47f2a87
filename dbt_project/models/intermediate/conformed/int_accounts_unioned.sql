select * from {{ ref("int_amocrm__accounts_conformed") }}
union all
select * from {{ ref("int_yandex_direct__accounts_conformed") }}
union all
select * from {{ ref("int_vk_ads__accounts_conformed") }}
union all
select * from {{ ref("int_yandex_metrica__accounts_conformed") }}
union all
select * from {{ ref("int_files__accounts_conformed") }}
