"""Plain Python behind the definitions; importable without a Dagster instance."""
