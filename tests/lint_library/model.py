"""What sqlfluff needs of the model that dbt is building."""

from __future__ import annotations


class checksum:  # noqa: N801 - dbt's own name
    """The checksum of the model's file."""

    checksum = "0" * 12
