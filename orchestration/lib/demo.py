"""The demo home: which company lives there, and its loopback servers during a refresh."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.config import Home, Settings, SourceRef, applied
from ingest.sources import SOURCES
from orchestration.lib.errors import HomeError
from orchestration.lib.progress import console, thousands

if TYPE_CHECKING:
    from ingest.demo.faults import FaultPlan

DEMO_SEED = 20261121
DEMO_MONTHS = 18
DEMO_LEADS = 20000

_DEMO_TOML = """\
# The demo company lives here. Real sources need a home of their own (VORONKA_HOME).
sources = ["demo"]
sales_rep_names = "drop"
"""


@dataclass(frozen=True)
class DemoParameters:
    """What makes a demo company: the same three numbers make the same company."""

    seed: int = DEMO_SEED
    months: int = DEMO_MONTHS
    leads: int = DEMO_LEADS


def read_parameters(home: Home) -> DemoParameters:
    """Return the demo company of this home, or the default one."""
    try:
        return DemoParameters(**json.loads(home.demo_marker.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return DemoParameters()
    except (OSError, ValueError, TypeError) as error:
        raise HomeError(
            f"{home.demo_marker} is not readable ({error}); delete it and run `voronka demo`."
        ) from None


def settle_demo(home: Home, wanted: DemoParameters) -> None:
    """Make a home the demo company's home.

    Args:
        home: An empty home, or the home of the same demo company.
        wanted: The company to show.

    Raises:
        HomeError: Real data, or another demo company, lives here.
    """
    if home.demo_marker.exists():
        present = read_parameters(home)
        if present != wanted:
            raise HomeError(
                f"{home.root} shows another demo company (seed {present.seed}, "
                f"{present.months} months, {present.leads} leads); "
                "delete the folder or set VORONKA_HOME to another one."
            )
        return
    if home.config_file.exists() or home.warehouse.exists():
        raise HomeError(
            f"{home.root} belongs to a real company; the demo needs a home of its own: "
            "VORONKA_HOME=/some/folder voronka demo"
        )
    home.demo_dir.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(_DEMO_TOML, encoding="utf-8")
    temporary = home.demo_marker.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(wanted)), encoding="utf-8")
    temporary.replace(home.demo_marker)


def choose_faults(home: Home, wanted: str, seed: int) -> None:
    """Let faults disturb the demo company's APIs from now on, or end them.

    Args:
        home: The demo company's home.
        wanted: `all`, kinds separated by commas, or empty for none.
        seed: Of the faults.

    Raises:
        HomeError: A kind is unknown.
    """
    from ingest.demo.faults import FaultPlan

    if not wanted:
        _faults_file(home).unlink(missing_ok=True)
        return
    try:
        FaultPlan.parse(wanted, seed)
    except ValueError as error:
        raise HomeError(f"--faults: {error}") from None
    present = _faults_file(home)
    chosen = {"kinds": wanted, "seed": seed, "runs": 0}
    if present.exists() and _chosen_faults(home) | {"runs": 0} == chosen:
        return
    present.write_text(json.dumps(chosen), encoding="utf-8")


def _faults_file(home: Home) -> Path:
    return home.demo_dir / "faults.json"


def _chosen_faults(home: Home) -> dict[str, Any]:
    path = _faults_file(home)
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))
        return {"kinds": chosen["kinds"], "seed": chosen["seed"], "runs": int(chosen["runs"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HomeError(
            f"{path} is not readable ({error}); delete it and run `voronka demo`."
        ) from None


def _faults(home: Home) -> "FaultPlan | None":
    """Return the faults of the next run; each run has its own, or none would ever get further."""
    from ingest.demo.faults import FaultPlan

    path = _faults_file(home)
    if not path.exists():
        return None
    chosen = _chosen_faults(home)
    path.write_text(json.dumps(chosen | {"runs": chosen["runs"] + 1}), encoding="utf-8")
    return FaultPlan.parse(chosen["kinds"], chosen["seed"] * 1000 + chosen["runs"])


def _faults_in_words(statistics: dict[str, Any]) -> str:
    counts: Counter[str] = Counter()
    for api in statistics.values():
        counts.update(api["faults"])
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) or "none"


@contextmanager
def demo_sources(settings: Settings) -> Iterator[Settings]:
    """Serve the demo company on loopback and return settings that read it.

    The code that reads real accounts reads these; only address and token differ.
    """
    from ingest.demo import DemoCompany, write_company_tables
    from ingest.demo.serving import serve_demo
    from orchestration.lib.benchmark.world import save_truth

    home = settings.home
    wanted = read_parameters(home)
    console().line("start", f"demo company of {thousands(wanted.leads)} leads")
    company = DemoCompany(seed=wanted.seed, months=wanted.months, leads=wanted.leads)
    planted = company.planted()
    tables = planted.tables
    save_truth(home, planted)
    if not any(home.company_dir.glob("*.csv")):
        write_company_tables(home.company_dir, tables)
    plan = _faults(home)
    with serve_demo(tables, faults=plan) as endpoints:
        secrets = {
            "SOURCES__AMOCRM__TOKEN": endpoints.token,
            "SOURCES__YANDEX_DIRECT__TOKEN": endpoints.token,
            "SOURCES__VK_ADS__CLIENT_ID": endpoints.vk_client_id,
            "SOURCES__VK_ADS__CLIENT_SECRET": endpoints.vk_client_secret,
            "SOURCES__YANDEX_METRICA__TOKEN": endpoints.token,
        }
        # A server of our own needs no protection from us, and nothing happened before the company
        # began.
        fast = {"requests_per_second": 1000.0}
        begun = {"start_date": company.start.date()}
        options: dict[SourceRef, dict[str, Any]] = {
            SourceRef(name): {**values, **fast}
            for name, values in (
                ("amocrm", {"url": endpoints.amocrm_url}),
                ("yandex_direct", {"url": endpoints.direct_url, **begun}),
                ("vk_ads", {"url": endpoints.vk_url, **begun}),
                (
                    "yandex_metrica",
                    {
                        "url": endpoints.metrica_url,
                        "counter_id": endpoints.metrica_counter_id,
                        "requests_per_five_minutes": 1_000_000,
                        "poll_seconds": 0.05,
                        **begun,
                    },
                ),
            )
            if name in SOURCES
        }
        with applied(secrets):
            yield settings.with_source_options(tuple(options), options, origin="demo company")
        if plan is not None:
            console().line("done", f"faults met: {_faults_in_words(endpoints.statistics())}")
