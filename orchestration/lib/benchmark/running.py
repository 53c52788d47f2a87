"""`voronka benchmark`: companies in, report out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ingest.config import Home
from orchestration.lib.benchmark.companies import opened, simulated_home
from orchestration.lib.benchmark.judging import Judgement, judge
from orchestration.lib.benchmark.measures import MEASURES
from orchestration.lib.benchmark.report import Report
from orchestration.lib.demo import DEMO_SEED, DemoParameters, read_parameters
from orchestration.lib.progress import seconds_in_words, thousands

Tell = Callable[[str], None]


def run_benchmark(seeds: int, months: int, leads: int, tell: Tell) -> Report:
    """Run the pipeline on several simulated companies and score each.

    Args:
        seeds: How many companies; they are always the same ones.
        months: Of their history.
        leads: Of each.
        tell: Receives each line of progress.

    Raises:
        BenchmarkError: A refresh or a query failed.
    """
    companies = [DemoParameters(DEMO_SEED + number, months, leads) for number in range(seeds)]
    judgements = []
    for number, company in enumerate(companies, start=1):
        started = time.monotonic()
        prefix = f"[benchmark {number}/{seeds}]"
        tell(f"{prefix} company of seed {company.seed}, {thousands(leads)} leads")
        with simulated_home(company, partial(_tell_of, tell, prefix)) as home:
            judgements.append(score_home(home))
        tell(f"{prefix} scored in {seconds_in_words(time.monotonic() - started)}")
    return Report(tuple(one.seed for one in companies), tuple(judgements))


def report_on(home: Home) -> Report:
    """Score a demo company's home as it stands.

    Raises:
        BenchmarkError: Nothing is published there, or it has no truth tables.
    """
    return Report((read_parameters(home).seed,), (score_home(home),))


def score_home(home: Home) -> tuple[Judgement, ...]:
    """Score one published company by every measure."""
    with opened(home) as connection:
        return tuple(judge(connection, MEASURES))


def write_json(report: Report, target: Path) -> None:
    """Write the report for programs."""
    text = json.dumps(report.as_json(), ensure_ascii=False, indent=2)
    target.write_text(f"{text}\n", encoding="utf-8")


def _tell_of(tell: Tell, prefix: str, line: str) -> None:
    tell(f"{prefix} {line}")
