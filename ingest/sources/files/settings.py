"""Settings of the files source: `[sources.files.main]` of voronka.toml or VORONKA_FILES_<NAME>."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ingest.tabular import MAX_UNPACKED_BYTES


class FilesSettings(BaseModel):
    """How files are read; what they mean stands in each folder's mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_unpacked_bytes: int = Field(
        default=MAX_UNPACKED_BYTES,
        gt=0,
        description="largest size a .csv.gz, .xlsx or .parquet file may unpack to",
    )
