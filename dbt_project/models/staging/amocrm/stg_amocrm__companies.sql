{{ known_records(ref("stg_amocrm__companies_versions"), ref("stg_amocrm__pulls")) }}
