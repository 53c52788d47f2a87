{{ known_records(ref("stg_amocrm__loss_reasons_versions"), ref("stg_amocrm__pulls")) }}
