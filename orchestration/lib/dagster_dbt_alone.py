"""dagster-dbt, imported without dbt.

Where dbt can be imported, dagster-dbt takes three enumerations of words from it, and for them all
of dbt into our process: 1.5 s at every start. Where it cannot (dbt Fusion is a program), it brings
words of its own and reads everything else from the manifest, as we do: our dbt is a program too.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _dbt_out_of_sight() -> Iterator[None]:
    # `None` makes an import raise ImportError; somebody who did import dbt keeps it.
    seen = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "dbt"}
    for name in seen:
        del sys.modules[name]
    sys.modules["dbt"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["dbt"]
        sys.modules.update(seen)


with _dbt_out_of_sight():
    from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

__all__ = ["DagsterDbtTranslator", "DbtCliResource", "DbtProject", "dbt_assets"]
