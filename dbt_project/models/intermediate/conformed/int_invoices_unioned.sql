select * from {{ ref("int_amocrm__invoices_conformed") }}
union all
select * from {{ ref("int_files__invoices_conformed") }}
