select * from {{ ref("int_amocrm__stage_changes_conformed") }}
union all
select * from {{ ref("int_files__stage_changes_conformed") }}
