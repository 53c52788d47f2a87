"""Every fault on, twenty seeds, every API: nothing lost, nothing doubled, and an end each time."""

from __future__ import annotations

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
COMPANY = {"seed": 7, "months": 4, "leads": 600}


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
        never = [kind for kind in kinds_of(APIS[source]) if not tally.injected[kind]]
        print(f"\n{source}: {tally.loads} loads, {len(tally.errors)} of them ended by an error")
        print(tally.table())
        for text, count in tally.reasons().most_common():
            print(f"  {count:>3} x {text}")
        print(f"  rows doubled: {tally.doubled}; never met: {', '.join(never) or 'none'}")


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
        options = {"VORONKA_AMOCRM_FILTERS": "off"} if seed % 2 and source == "amocrm" else {}
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


@pytest.mark.parametrize("seed", [1, 2])
def test_a_whole_refresh_through_faults_publishes_what_one_without_them_does(
    seed: int, tmp_path: Path
) -> None:
    small = ("--leads", "400", "--months", "4")
    calm = Product(tmp_path / "calm")
    calm.run("demo", *small)
    stormy = Product(tmp_path / "stormy")
    same_key(calm, stormy)
    command = ("demo", *small, "--faults", "all", "--faults-seed", str(seed))
    outcomes = []
    for _ in range(4):
        process = stormy.start(*command)
        output, _unused = process.communicate(timeout=300)
        assert "Traceback" not in output, output
        outcomes.append(process.returncode)
        if process.returncode == 0:
            break
        assert process.returncode == 3, output
    stormy.run("demo", *small)
    print(f"\nseed {seed}: exit codes {outcomes}, then 0 without faults")
    assert stormy.fingerprints() == calm.fingerprints()
