"""Every fault on, twenty seeds, every API: nothing lost, nothing doubled, and an end each time.

Twenty seeds are compared where faults act: the newest version of every record in every raw table,
after each load, beside loads that nothing disturbed. What is published is made of these rows alone,
and equal rows make equal tables (tests/e2e compares published files by hash after kills and second
refreshes), so whole refreshes are run on a few seeds only, each to its published tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.demo import CompanyTables, DemoCompany
from ingest.demo.faults import FaultPlan, kinds_of
from ingest.demo.serving import DemoEndpoints, serve_demo
from tests.disturbed import APIS, SERVERS, Home, Tally, Undisturbed, disturbed_loads
from tests.e2e.runs import same_key
from tests.product import Product

pytestmark = pytest.mark.campaign
SEEDS = 20
BLOCK = 2
COMPANY = {"seed": 7, "months": 3, "leads": 300}
# Fewer windows, fewer requests, fuller pages: a fault can meet each of them all the same.
OPTIONS = {"VORONKA_AMOCRM_WINDOW_DAYS": "45", "VORONKA_AMOCRM_HISTORY_DAYS": "100"}
WHOLE_REFRESHES = (1, 2, 3, 4)
SMALL = ("--leads", "300", "--months", "3")


@pytest.fixture(scope="module")
def firm() -> CompanyTables:
    return DemoCompany(**COMPANY).tables()


@pytest.fixture(scope="module")
def endpoints(firm: CompanyTables) -> Iterator[DemoEndpoints]:
    with serve_demo(firm, **SERVERS) as found:
        yield found


@dataclass
class Reference:
    """Loads without faults, made once per source."""

    root: Path
    endpoints: DemoEndpoints
    found: dict[str, Undisturbed] = field(default_factory=dict)

    def of(self, source: str, options: Mapping[str, str]) -> Undisturbed:
        key = f"{source} {sorted(options.items())}"
        if key not in self.found:
            home = Home(self.root / f"reference {len(self.found)}", self.endpoints, options)
            for other in self.found.values():
                home.same_key_as(other.home)
                break
            self.found[key] = Undisturbed.of(home, source)
        return self.found[key]


@pytest.fixture(scope="module")
def reference(endpoints: DemoEndpoints, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(tmp_path_factory.mktemp("reference"), endpoints)


@pytest.fixture(scope="module")
def tallies() -> Iterator[dict[str, Tally]]:
    """Count over all blocks of seeds, and print at the end."""
    found = {source: Tally() for source in APIS}
    yield found
    for source, tally in found.items():
        if not tally.loads:
            continue
        never = never_met(source, tally)
        print(f"\n{source}: {tally.loads} loads, {len(tally.errors)} of them ended by an error")
        print(tally.table())
        for text, count in tally.reasons().most_common():
            print(f"  {count:>3} x {text}")
        print(f"  rows doubled: {tally.doubled}; never met: {', '.join(never) or 'none'}")


def never_met(source: str, tally: Tally) -> list[str]:
    """Return the kinds of fault an API can have and had in no load."""
    return [kind for kind in kinds_of(APIS[source]) if not tally.injected[kind]]


@pytest.mark.parametrize("block", range(0, SEEDS, BLOCK), ids=lambda first: f"seeds from {first}")
@pytest.mark.parametrize("source", APIS)
def test_no_fault_loses_or_doubles_a_row(
    source: str,
    block: int,
    endpoints: DemoEndpoints,
    reference: Reference,
    tallies: dict[str, Tally],
    tmp_path: Path,
    quick_pauses: None,
) -> None:
    tally = tallies[source]
    for seed in range(block, block + BLOCK):
        # Every other account of amoCRM has no filters, and every third speaks OAuth.
        options = dict(OPTIONS)
        if seed % 2 and source == "amocrm":
            options["VORONKA_AMOCRM_FILTERS"] = "off"
        home = Home(tmp_path / str(seed), endpoints, options, by_oauth=seed % 3 == 0)
        disturbed_loads(home, source, FaultPlan(seed), reference.of(source, options), tally)
    print(
        f"\n{source}, to seed {block + BLOCK - 1}: {sum(tally.injected.values())} faults, "
        f"{sum(tally.retried.values())} asked again, {tally.loads} loads, "
        f"{len(tally.errors)} ended by an error, lost {sum(tally.lost.values())}, "
        f"doubled {tally.doubled}",
        flush=True,
    )
    assert tally.doubled == 0
    tally.seeds += BLOCK


# After all blocks, which are counted in one process.
@pytest.mark.parametrize("source", APIS)
def test_every_kind_of_fault_was_met(source: str, tallies: dict[str, Tally]) -> None:
    if tallies[source].seeds < SEEDS:
        pytest.skip(f"{tallies[source].seeds} of {SEEDS} seeds were run")
    assert never_met(source, tallies[source]) == []


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """Return a company that was refreshed without faults."""
    product = Product(tmp_path_factory.mktemp("calm") / "home")
    product.run("demo", *SMALL)
    return product


@pytest.mark.parametrize("seed", WHOLE_REFRESHES)
def test_a_whole_refresh_through_faults_publishes_what_one_without_them_does(
    seed: int, calm: Product, tmp_path: Path
) -> None:
    stormy = Product(tmp_path / "stormy")
    same_key(calm, stormy)
    command = ("demo", *SMALL, "--faults", "all", "--faults-seed", str(seed))
    outcomes = []
    for _ in range(4):
        started = time.monotonic()
        process = stormy.start(*command)
        output, _unused = process.communicate(timeout=600)
        outcomes.append(f"exit code {process.returncode} after {time.monotonic() - started:.0f} s")
        assert "Traceback" not in output, output
        if process.returncode == 0:
            break
        assert process.returncode == 3, output
    stormy.run("demo", *SMALL)
    print(f"\nseed {seed}: {', '.join(outcomes)}; then 0 without faults", flush=True)
    assert stormy.fingerprints() == calm.fingerprints()
