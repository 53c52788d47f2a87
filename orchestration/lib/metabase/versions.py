"""The pair of Metabase and DuckDB driver that belongs together; nothing else names it twice.

Each release of Metabase has broken the driver at least once, and the driver carries the DuckDB
whose files it reads. `orchestration/metabase/` builds this pair, `voronka metabase doctor` compares
a server with it, a test compares all three with `pyproject.toml`.
"""

METABASE_VERSION = "v0.63.17"
DUCKDB_DRIVER_VERSION = "1.5.5.0"
# The driver's version is DuckDB's and a number of its own.
DUCKDB_VERSION = DUCKDB_DRIVER_VERSION.rpartition(".")[0]
