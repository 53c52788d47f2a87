{{ known_records(
    ref("stg_yandex_direct__campaign_daily_reports_versions"), ref("stg_yandex_direct__pulls")
) }}
