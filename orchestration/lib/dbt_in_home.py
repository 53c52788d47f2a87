"""The `voronka-dbt` command: dbt, started inside the home folder that VORONKA_HOME names.

The paths of dbt's profile are relative to the home; dagster-dbt would start dbt in the project.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """Become dbt, in the home folder."""
    home = Path(os.environ["VORONKA_HOME"])
    # DuckDB makes a missing file, not a missing folder.
    (home / "serve").mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    dbt = Path(sys.executable).with_name("dbt")
    os.execv(dbt, [str(dbt), *sys.argv[1:]])  # noqa: S606 - no shell is wanted
