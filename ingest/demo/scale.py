"""A company of any size, its raw tables written without an API in between.

`ScaledCompany` is the demo company times n: blocks of 50,000 deals, each a `DemoCompany` of its own
seed whose ids are moved out of the way of the others', under one roof (account, pipelines, users,
campaigns are those of the first block). Up to one block it is the demo company itself, so what is
written here and what its APIs land are equal, record by record.

Two blocks are in memory at a time: one is written while another process makes the next. Advertising
figures do not grow with the deals (campaigns times days): those are landed by their own sources,
from the fake servers.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.config import Home, Settings, SourceRef, applied, load_settings
from ingest.demo import story
from ingest.demo.amocrm_raw import AMOCRM, AmocrmRaw
from ingest.demo.arrow import Column, compute
from ingest.demo.company_tables import write_company_tables
from ingest.demo.generator import DemoCompany
from ingest.demo.metrica_raw import METRICA, MetricaRaw
from ingest.demo.randomness import DAY, Ints, Streams
from ingest.demo.raw_file import RawFile
from ingest.demo.serving import serve_demo
from ingest.demo.tables import CompanyTables
from ingest.errors import ConfigurationError, StorageError
from ingest.loading import load_source
from ingest.sources import SOURCES
from ingest.sources.yandex_metrica import COUNTERS, VISITS

_CLICK_AT_END = "([?&]yclid=)[0-9]+$"
FEWEST, MOST = 1_000, 10_000_000
BLOCK_DEALS = 50_000
# Ids of one block stay within this span of each other, in every table.
_ID_STRIDE = 10_000_000
# Ids that are texts of digits: a browser's name, a click's, and a visit's, whose last nine digits
# number the visits of a block.
_TEXT_STRIDES = {
    "client_id": 10_000_000_000_000_000,
    "click_id": 10_000_000_000_000_000,
    "visit_id": 1_000_000,
}
_SEED_STRIDE = 1_000_003
_IDS = frozenset(
    {
        "call_id",
        "company_id",
        "contact_id",
        "deal_id",
        "document_id",
        "entity_id",
        "invoice_id",
        "merged_into_contact_id",
        "merged_into_deal_id",
        "note_id",
        "payment_id",
        "person_id",
        "task_id",
    }
)
# One firm has them once, however many blocks its deals come in.
_SHARED = ("account", "pipelines", "stages", "users", "loss_reasons", "ad_campaigns")
# What a visit without an advertisement has not, or has of its own.
_OF_ONE_VISIT = [
    *("visit_id", "start_url", "traffic_source", "goals"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"),
    *("referer", "adv_engine", "click_id", "campaign_id"),
]
_DEMO_TOML = """\
# The demo company lives here. Real sources need a home of their own (VORONKA_HOME).
sources = ["demo"]
sales_rep_names = "drop"
"""
_SCALED_TOML = """\
# A company of the demo's kind whose raw tables were written without its APIs: `voronka dbt build`.
sources = []
sales_rep_names = "drop"
"""


@dataclass(frozen=True)
class ScaledCompany:
    """The demo company at any size; equal arguments give equal tables.

    Attributes:
        deals: How many deals there are in all.
        seed: Of every random stream.
        months: How far back the clock begins.
        end: The last moment of the simulated clock.
        block_deals: Deals made at a time.
        changes_per_deal: Stage changes of a deal in the mean; None: as the firm works. More than
            that are cards moved on and back again between two true moves.
        visits_per_deal: Visits of the site per deal in the mean; None: as people come.
    """

    deals: int = 20_000
    seed: int = 20261121
    months: int = 18
    end: dt.datetime = field(default=story.END_OF_CLOCK)
    block_deals: int = BLOCK_DEALS
    changes_per_deal: float | None = None
    visits_per_deal: float | None = None

    @property
    def block_count(self) -> int:
        """Return in how many blocks the deals come."""
        return max(1, -(-self.deals // self.block_deals))

    @property
    def is_demo_company(self) -> bool:
        """Return whether this is `DemoCompany` of as many leads, to the last byte."""
        return (
            self.block_count == 1 and self.changes_per_deal is None and self.visits_per_deal is None
        )

    @property
    def start(self) -> dt.datetime:
        """Return midnight in Moscow of the day the clock begins."""
        return self._block(0).start

    def blocks(self) -> Iterator[CompanyTables]:
        """Yield the company block by block; what all share comes with each."""
        shared: dict[str, pa.Table] = {}
        for number in range(self.block_count):
            tables = self._block(number).tables()
            if not shared:
                shared = {name: getattr(tables, name) for name in _SHARED}
            moved = {
                name: shared.get(name, _moved(table, number)) for name, table in tables.items()
            }
            yield self._denser(CompanyTables(now=tables.now, **moved), number)

    def tables(self) -> CompanyTables:
        """Return the whole company at once, for sizes that memory holds."""
        blocks = list(self.blocks())
        if len(blocks) == 1:
            return blocks[0]
        joined = {
            name: table
            if name in _SHARED
            else pa.concat_tables([getattr(block, name) for block in blocks]).combine_chunks()
            for name, table in blocks[0].items()
        }
        joined["ad_spend"] = summed_spend(joined["ad_spend"])
        return CompanyTables(now=blocks[0].now, **joined)

    def _block(self, number: int) -> DemoCompany:
        before = self.deals * number // self.block_count
        after = self.deals * (number + 1) // self.block_count
        return DemoCompany(
            seed=self.seed + number * _SEED_STRIDE,
            months=self.months,
            leads=after - before,
            end=self.end,
        )

    def _denser(self, tables: CompanyTables, number: int) -> CompanyTables:
        streams = Streams(self.seed + number * _SEED_STRIDE)
        if self.changes_per_deal is not None:
            tables = more_stage_changes(tables, self.changes_per_deal, streams("more_changes"))
        if self.visits_per_deal is not None:
            tables = more_visits(tables, self.visits_per_deal, streams("more_visits"))
        return tables


def blocks_made_ahead(company: ScaledCompany) -> Iterator[CompanyTables]:
    """Yield the blocks of a company, each made by another process while the last one is used.

    Args:
        company: The company; one of a single block is made here.

    Raises:
        StorageError: The other process was ended, most likely for want of memory.
    """
    if company.block_count == 1:
        yield from company.blocks()
        return
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    maker = context.Process(target=_make_blocks, args=(company, writer), daemon=True)
    maker.start()
    # Only the maker holds the writing end, so its death is the end of the file and no silence.
    writer.close()
    try:
        for _ in range(company.block_count):
            try:
                found = reader.recv()
            except EOFError:
                raise StorageError(
                    "the process that makes the company was ended",
                    action="Make a smaller company, or give it more memory",
                ) from None
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        # A maker that has more to say meets a closed pipe, also when this process is killed.
        reader.close()
        maker.terminate()
        maker.join()


def _make_blocks(company: ScaledCompany, writer: Connection) -> None:
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        for tables in company.blocks():
            writer.send(tables)
    except BrokenPipeError:
        return
    except Exception as error:
        writer.send(error)


def _moved(table: pa.Table, number: int) -> pa.Table:
    """Return a block's table with its ids moved to the block's own range."""
    if number == 0:
        return table
    columns = []
    for name in table.schema.names:
        column = table.column(name)
        if name in _IDS:
            column = compute.add(column, number * _ID_STRIDE)
        elif name in _TEXT_STRIDES:
            column = _shifted(column, number * _TEXT_STRIDES[name])
        elif name == "start_url":
            # The address of an advertisement ends with the name of its click.
            click = table.column("click_id")
            head = compute.replace_substring_regex(column, _CLICK_AT_END, r"\1")
            shifted = _shifted(click, number * _TEXT_STRIDES["click_id"])
            has_click = compute.and_(
                compute.is_valid(click), compute.match_substring_regex(column, _CLICK_AT_END)
            )
            with_click = compute.binary_join_element_wise(head, shifted, "")
            column = compute.if_else(has_click, with_click, column)
        columns.append(column)
    return pa.table(columns, schema=table.schema)


def _shifted(texts: Column, by: int) -> Column:
    numbers = compute.add(compute.cast(texts, pa.int64()), by)
    return compute.cast(numbers, pa.string())


def summed_spend(spend: pa.Table) -> pa.Table:
    """Return the ledger of campaign days with the blocks' figures added up.

    Args:
        spend: Rows of `ad_spend` of any number of blocks.
    """
    measures = ("impressions", "clicks", "cost_micros")
    keys = [name for name in spend.schema.names if name not in measures]
    summed = spend.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in measures])
    named = [f"{name}_sum" if name in measures else name for name in spend.schema.names]
    return summed.select(named).rename_columns(spend.schema.names).cast(spend.schema)


def more_stage_changes(
    tables: CompanyTables, changes_per_deal: float, rng: np.random.Generator
) -> CompanyTables:
    """Return a firm whose cards are moved on and back again while they wait in a stage.

    Args:
        tables: The firm.
        changes_per_deal: How many changes a deal shall have in the mean; never fewer than now.
        rng: Spreads them over the deals.
    """
    changes = tables.stage_changes
    wanted = round(changes_per_deal * tables.deals.num_rows) - changes.num_rows
    pairs = max(0, wanted // 2)
    following = _open_stages(tables)

    def of(name: str) -> Ints:
        return np.asarray(compute.fill_null(changes.column(name), -1).to_numpy(), dtype=np.int64)

    deal, at = of("deal_id"), of("changed_at")
    order = np.lexsort((np.arange(len(deal)), at, deal))
    deal, at = deal[order], at[order]
    source = {name: of(name)[order] for name in ("from_pipeline_id", "from_stage_id", "changed_by")}
    # A spell: from one change of a deal to its next, in an open stage that has a neighbour.
    begins = np.concatenate([[0], at[:-1]])
    neighbour = np.array(
        [
            following.get(place, -1)
            for place in zip(
                source["from_pipeline_id"].tolist(), source["from_stage_id"].tolist(), strict=True
            )
        ],
        dtype=np.int64,
    )
    is_spell = np.concatenate([[False], deal[1:] == deal[:-1]]) & (neighbour >= 0)
    spells = np.flatnonzero(is_spell & (at - begins > 8))
    if not pairs or not len(spells):
        return tables
    count = np.full(len(spells), pairs // len(spells), dtype=np.int64)
    count[rng.permutation(len(spells))[: pairs % len(spells)]] += 1
    length = (at - begins)[spells]
    count = np.minimum(count, (length - 1) // 4)
    moves = 2 * count
    spell = np.repeat(spells, moves)
    step = np.arange(int(moves.sum())) - np.repeat(np.cumsum(moves) - moves, moves)
    parts = np.repeat(moves + 1, moves)
    changed = begins[spell] + (at - begins)[spell] * (step + 1) // parts
    is_away = step % 2 == 0
    home, away = source["from_stage_id"][spell], neighbour[spell]
    pipeline = source["from_pipeline_id"][spell]
    added = pa.table(
        {
            "deal_id": deal[spell],
            "changed_at": changed,
            "from_pipeline_id": pipeline,
            "from_stage_id": np.where(is_away, home, away),
            "to_pipeline_id": pipeline,
            "to_stage_id": np.where(is_away, away, home),
            "changed_by": source["changed_by"][spell],
            "loss_reason_id": pa.nulls(len(spell), pa.int64()),
            "published_at": changed,
        },
        schema=changes.schema,
    )
    # What was there comes first, so that equal moments keep their order.
    joined = pa.concat_tables([changes, added]).combine_chunks()
    deals = joined.column("deal_id").to_numpy()
    moments = joined.column("changed_at").to_numpy()
    ordered = np.lexsort((np.arange(len(deals)), moments, deals))
    places: Column = pa.array(ordered)
    return replace(tables, stage_changes=joined.take(places))


def more_visits(
    tables: CompanyTables, visits_per_deal: float, rng: np.random.Generator
) -> CompanyTables:
    """Return a firm whose visitors were on the site more often, without an advertisement.

    Args:
        tables: The firm.
        visits_per_deal: How many visits a deal shall have in the mean; never fewer than now.
        rng: Chooses who comes and when.
    """
    visits = tables.visits
    present = visits.num_rows
    missing = round(visits_per_deal * tables.deals.num_rows) - present
    if missing <= 0 or not present:
        return tables
    chosen: Column = pa.array(rng.integers(0, present, missing))
    again = visits.drop_columns(_OF_ONE_VISIT).take(chosen)
    before = again.column("visited_at").to_numpy()
    first = int(compute.min(visits.column("visited_at")).as_py())
    at = np.maximum(before - rng.integers(3600, 20 * DAY, missing), first)
    nothing: Column = pa.nulls(missing)
    # As the firm's own visits are numbered: the moment, then a running number of nine digits.
    number = at * 1_000_000_000 + present + np.arange(missing)
    told = {
        "visit_id": compute.cast(pa.array(number), pa.string()),
        "visited_at": pa.array(at),
        "known_from_at": pa.array(at + again.column("known_from_at").to_numpy() - before),
        "is_new_user": pa.repeat(pa.scalar(False), missing),
        "start_url": again.column("end_url"),
        "traffic_source": pa.repeat(pa.scalar("direct"), missing),
        "goals": pa.repeat(pa.scalar("[]"), missing),
    }
    columns = []
    for field_ in visits.schema:
        if field_.name in told:
            columns.append(told[field_.name])
        elif field_.name in _OF_ONE_VISIT:
            columns.append(nothing.cast(field_.type))
        else:
            columns.append(again.column(field_.name))
    added = pa.table(columns, schema=visits.schema)
    return replace(tables, visits=pa.concat_tables([visits, added]).combine_chunks())


def _open_stages(tables: CompanyTables) -> dict[tuple[int, int], int]:
    """Return, by pipeline and open stage, the open stage that follows in its pipeline's round."""
    found: dict[tuple[int, int], int] = {}
    by_pipeline: dict[int, list[int]] = {}
    rows: list[dict[str, Any]] = tables.stages.to_pylist()
    for stage in rows:
        is_constant = not stage.get("valid_from_at") and stage.get("valid_to_at") is None
        if stage["stage_kind"] == "open" and is_constant:
            by_pipeline.setdefault(stage["pipeline_id"], []).append(stage["stage_id"])
    for pipeline, stages in by_pipeline.items():
        if len(stages) > 1:
            for one, after in zip(stages, [*stages[1:], stages[0]], strict=True):
                found[pipeline, one] = after
    return found


@dataclass(frozen=True)
class Written:
    """What was written: rows by table, and how long it took."""

    rows: Mapping[str, int]
    seconds: float
    bytes_on_disk: int


def write_raw(
    company: ScaledCompany,
    home: Path,
    *,
    memory_limit: str = "2GB",
    report: Callable[[str], None] | None = None,
) -> Written:
    """Write the raw tables of a company into a new home.

    The home gets its settings, the company's own tables and the privacy key too. A company that is
    the demo company goes on living: `voronka refresh` there reads its APIs and finds nothing new.

    Args:
        company: The company.
        home: The home folder; it must not have a warehouse yet.
        memory_limit: What DuckDB may take, beside one block of the company.
        report: Told how far the work is.

    Raises:
        ConfigurationError: The home is somebody's already.
    """
    started = time.monotonic()
    pool = pa.default_memory_pool()
    place = Home(home.expanduser().absolute())
    if place.warehouse.exists() or place.config_file.exists():
        raise ConfigurationError(
            f"{place.root} has a company already", action="Give a folder that does not exist yet"
        )
    try:
        settings = _settled(place, company)
        # Columns of a hundred megabytes come and go: mimalloc hands each back to the system and
        # takes it anew, a tenth of all the work.
        pa.set_memory_pool(pa.system_memory_pool())
        rows, firm = _write_large_tables(company, place, settings, memory_limit, report)
        rows |= _land_advertising(firm, settings, company)
    except BaseException:
        # Half a company helps nobody, and would stand in the way of another try.
        for path in (place.warehouse, place.config_file, place.demo_marker):
            path.unlink(missing_ok=True)
        raise
    finally:
        pa.set_memory_pool(pool)
    return Written(rows, time.monotonic() - started, place.warehouse.stat().st_size)


def _write_large_tables(
    company: ScaledCompany,
    home: Home,
    settings: Settings,
    memory_limit: str,
    report: Callable[[str], None] | None,
) -> tuple[dict[str, int], CompanyTables]:
    """Write CRM and visits block by block; return the rows, and the firm as advertisers know it."""
    firm: CompanyTables | None = None
    with RawFile(home, memory_limit=memory_limit) as file:
        for number, tables in enumerate(blocks_made_ahead(company)):
            amocrm = AmocrmRaw(tables, settings, number)
            if firm is None:
                firm = _without_deals(tables)
                metrica = MetricaRaw(settings, tables.now, company.start.date())
                _write_company_tables(home, tables, company.block_count)
                for pull in amocrm.pulls():
                    file.open_pull(AMOCRM, pull)
                for pull in metrica.pulls(tables):
                    file.open_pull(METRICA, pull)
            else:
                spend = pa.concat_tables([firm.ad_spend, tables.ad_spend])
                firm = replace(firm, ad_spend=summed_spend(spend))
            for table, part in amocrm.rows(lambda table: file.pull_id(AMOCRM, table)):
                file.append(AMOCRM, table, part)
            del amocrm
            for part in metrica.visits(tables, file.pull_id(METRICA, VISITS)):
                file.append(METRICA, VISITS, part)
            if report is not None:
                report(f"{number + 1} of {company.block_count} blocks")
        if firm is None:
            raise ValueError("a company has at least one block")
        file.append(METRICA, COUNTERS, metrica.counters(firm, file.pull_id(METRICA, COUNTERS)))
        file.commit()
        return file.rows, firm


def _settled(home: Home, company: ScaledCompany) -> Settings:
    """Make the home folder and return its settings."""
    home.demo_dir.mkdir(parents=True, exist_ok=True)
    if company.is_demo_company:
        marker = {"seed": company.seed, "months": company.months, "leads": company.deals}
        home.config_file.write_text(_DEMO_TOML, encoding="utf-8")
        home.demo_marker.write_text(json.dumps(marker), encoding="utf-8")
    else:
        home.config_file.write_text(_SCALED_TOML, encoding="utf-8")
    return load_settings({"VORONKA_HOME": str(home.root)})


def _without_deals(tables: CompanyTables) -> CompanyTables:
    """Return a firm that only advertises: all that the advertising APIs look at."""
    kept = {"account", "pipelines", "stages", "users", "loss_reasons", "ad_campaigns", "ad_spend"}
    return CompanyTables(
        now=tables.now,
        **{name: table if name in kept else table.slice(0, 0) for name, table in tables.items()},
    )


def _write_company_tables(home: Home, tables: CompanyTables, blocks: int) -> None:
    """Write the company's own tables; the plans of one block are multiplied."""
    write_company_tables(home.company_dir, tables)
    if blocks == 1:
        return
    plans = home.company_dir / "sales_plans.csv"
    with plans.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with plans.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([*row[:-1], int(row[-1]) * blocks] for row in rows[1:])


def _land_advertising(
    tables: CompanyTables, settings: Settings, company: ScaledCompany
) -> dict[str, int]:
    """Let the advertising sources read their servers, and return what they stored."""
    rows: dict[str, int] = {}
    with serve_demo(tables) as endpoints:
        secrets = {
            "SOURCES__YANDEX_DIRECT__TOKEN": endpoints.token,
            "SOURCES__VK_ADS__CLIENT_ID": endpoints.vk_client_id,
            "SOURCES__VK_ADS__CLIENT_SECRET": endpoints.vk_client_secret,
        }
        addresses = {"yandex_direct": endpoints.direct_url, "vk_ads": endpoints.vk_url}
        options = {
            SourceRef(name): {
                "url": url,
                "start_date": company.start.date(),
                "requests_per_second": 1000.0,
            }
            for name, url in addresses.items()
            if name in SOURCES
        }
        served = settings.with_source_options(tuple(options), options, origin="demo company")
        with applied(secrets):
            for ref in served.sources:
                for table, part in load_source(ref, served).resources.items():
                    rows[f"{ref.name}.{table}"] = part.rows_stored
    return rows
