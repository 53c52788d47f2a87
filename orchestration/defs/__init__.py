"""What Dagster must see: assets, checks, the job, its schedule and its sensor."""
