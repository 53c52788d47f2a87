"""The only registry of sources. Modules are imported when a source is first asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltSource
    from pydantic import BaseModel

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState


@dataclass(frozen=True)
class SourceDefinition:
    """What the core needs to know of a source, by name, without importing it.

    A source is a package `ingest.sources.<name>` with `settings.py` (the pydantic model named in
    `settings_class`), a mapping `RAW_TABLES` of table name to Arrow schema, and
    `build_source(ref, settings, state, budget)`.
    """

    name: str
    settings_class: str
    secrets: tuple[str, ...] = ()

    @property
    def dataset(self) -> str:
        """Return the schema of the warehouse that holds this source's raw tables."""
        return f"raw_{self.name}"

    @property
    def settings_model(self) -> "type[BaseModel]":
        """Return the pydantic model of one `[source.<name>.<label>]` section."""
        module = import_module(f"ingest.sources.{self.name}.settings")
        return cast("type[BaseModel]", getattr(module, self.settings_class))

    @property
    def raw_tables(self) -> "Mapping[str, pa.Schema]":
        """Return the Arrow schema of every raw table, `_pulls` and dlt's own column left out."""
        return cast("Mapping[str, pa.Schema]", self._package().RAW_TABLES)

    def build_source(
        self,
        ref: "SourceRef",
        settings: "Settings",
        state: "StoredState",
        budget: "ChunkBudget",
    ) -> "DltSource":
        """Return a dlt source that reads the next chunk of one account.

        Args:
            ref: Source and account label.
            settings: The settings of the home folder.
            state: What earlier committed loads stored.
            budget: How much this chunk may read, and where it reports.
        """
        source: DltSource = self._package().build_source(ref, settings, state, budget)
        return source

    def _package(self) -> Any:
        return import_module(f"ingest.sources.{self.name}")


SOURCES: Mapping[str, SourceDefinition] = {
    definition.name: definition
    for definition in (
        SourceDefinition(
            "amocrm", "AmocrmSettings", ("token", "client_id", "client_secret", "refresh_token")
        ),
        SourceDefinition("yandex_direct", "YandexDirectSettings", ("token",)),
        SourceDefinition("vk_ads", "VkAdsSettings", ("client_id", "client_secret")),
        SourceDefinition("yandex_metrica", "YandexMetricaSettings", ("token",)),
        SourceDefinition("files", "FilesSettings"),
        SourceDefinition("company", "CompanySettings"),
    )
}
