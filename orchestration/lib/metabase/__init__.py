"""Dashboards in Metabase: what shall be there (from files), what is there, and the way between."""
