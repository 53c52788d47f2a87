{#- A table: six models read all visits, and telling a counter's clock is work per visit. -#}
{{ config(materialized="table") }}

select * from {{ ref("int_files__visits_conformed") }}
union all
select * from {{ ref("int_yandex_metrica__visits_conformed") }}
