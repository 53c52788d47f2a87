{{ newest_pulls(ref("stg_files__pulls")) }}
