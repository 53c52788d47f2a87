"""Extract and load: vendors' records into `raw_<source>` tables, and nothing more."""
