{{ known_records(ref("stg_amocrm__invoices_versions"), ref("stg_amocrm__pulls")) }}
