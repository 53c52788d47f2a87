{{ known_records(ref("stg_yandex_metrica__visits_versions"), ref("stg_yandex_metrica__pulls")) }}
