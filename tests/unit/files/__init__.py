"""The files source: reading, checking, normalising, loading."""
