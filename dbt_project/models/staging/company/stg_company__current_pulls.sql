{{ newest_pulls(ref("stg_company__pulls")) }}
