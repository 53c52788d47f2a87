"""dbt by hand: the environment, the lock and the files of this home around any dbt command."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ingest.config import Settings, applied
from ingest.warehouse import ensure_raw_tables
from orchestration.lib.environment import (
    DBT_PROJECT_DIR,
    dbt_environment,
    dbt_executable,
    dbt_vars_arguments,
    new_run_id,
)
from orchestration.lib.errors import DbtProjectError
from orchestration.lib.lock import refresh_lock
from orchestration.lib.recovery import forget_child, remember_child, tidy_home
from orchestration.lib.serving import ServeFolder

_WITH_VARS = {"build", "run", "test", "compile", "show", "seed", "list", "ls", "parse"}


def run_dbt(settings: Settings, arguments: Sequence[str]) -> int:
    """Run dbt as a refresh would, on a working copy of the published marts.

    What it builds is never published: the next refresh builds its own file.

    Args:
        settings: The settings of the home folder.
        arguments: dbt's own command line.

    Returns:
        dbt's exit code.
    """
    home = settings.home
    with refresh_lock(home.refresh_lock, new_run_id()):
        tidy_home(home)
        ensure_raw_tables(home)
        ServeFolder(home.serve_dir).make_working_copy()
        command = [str(dbt_executable()), *arguments]
        # dbt takes its own options before the verb too: `dbt --quiet build`.
        if _WITH_VARS.intersection(arguments) and "--vars" not in arguments:
            command += dbt_vars_arguments(settings)
        with applied(dbt_environment(home)):
            process = subprocess.Popen(command, cwd=DBT_PROJECT_DIR)
            remember_child(home, process.pid)
            try:
                return process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                forget_child(home)


def write_docs(settings: Settings, folder: Path) -> Path:
    """Write dbt's documentation of the models as one HTML file.

    Descriptions, columns and lineage come from the project alone, so no home is read or locked.

    Returns:
        The file.

    Raises:
        DbtProjectError: The project does not compile.
    """
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **dbt_environment(settings.home),
            "VORONKA_HOME": scratch,
            "DBT_TARGET_PATH": str(Path(scratch) / "target"),
            "DBT_LOG_PATH": str(Path(scratch) / "logs"),
        }
        command = [str(dbt_executable()), "--quiet", "--no-use-colors", "docs", "generate"]
        command += ["--static", "--empty-catalog", "--no-compile"]
        with applied(environment):
            finished = subprocess.run(
                [str(dbt_executable()), "--quiet", "parse"],
                cwd=DBT_PROJECT_DIR,
                capture_output=True,
                text=True,
                check=False,
            )
            if finished.returncode == 0:
                finished = subprocess.run(
                    command, cwd=DBT_PROJECT_DIR, capture_output=True, text=True, check=False
                )
        built = Path(scratch) / "target" / "static_index.html"
        if finished.returncode != 0 or not built.exists():
            words = " ".join((finished.stdout or finished.stderr).split())
            raise DbtProjectError(f"dbt could not write the documentation: {words[:600]}")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "index.html"
        shutil.copyfile(built, target)
    return target
