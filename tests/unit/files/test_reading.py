"""What a good file may look like, and what lands of it."""

from __future__ import annotations

import datetime as dt
import gzip
import re
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.tabular import Column, Parsing, parse_column, parse_iso_time
from tests.unit.files.conftest import HEAD, Entry, FilesFolder
from tests.unit.files.workbooks import write_workbook

MOSCOW = ZoneInfo("Europe/Moscow")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def test_table_in_neutral_layout_needs_only_the_head(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at,deal_amount\n1,2026-01-02 03:00:00,10.50\n")
    assert folder.rows("deals", "deal_id", "created_at", "deal_amount", "row_number") == [
        ("1", "2026-01-02 00:00:00", "10.50", 1)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".xlsx"])
def test_every_format_gives_the_same_rows(folder: FilesFolder, suffix: str) -> None:
    text = "deal_id,created_at,deal_amount,outcome\n007,2026-01-02,10.5,won\n008,2026-01-03,,\n"
    path = folder.path / f"deals{suffix}"
    if suffix == ".csv":
        path.write_text(text)
    elif suffix == ".csv.gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif suffix == ".parquet":
        days = [dt.date(2026, 1, 2), dt.date(2026, 1, 3)]
        table = pa.table(
            {
                "deal_id": ["007", "008"],
                "created_at": pa.array(days),
                "deal_amount": [10.5, None],
                "outcome": pa.array(["won", None]).dictionary_encode(),
            }
        )
        pq.write_table(table, path)
    else:
        write_workbook(
            path,
            [
                ["deal_id", "created_at", "deal_amount", "outcome"],
                ["007", dt.date(2026, 1, 2), 10.5, "won"],
                ["008", dt.date(2026, 1, 3), None, None],
            ],
        )
    assert folder.rows("deals", "deal_id", "created_at", "deal_amount", "outcome") == [
        ("007", "2026-01-01 21:00:00", "10.5", "won"),
        ("008", "2026-01-02 21:00:00", None, None),
    ]


def test_parquet_times_with_and_without_zone(folder: FilesFolder) -> None:
    moment = dt.datetime.fromisoformat("2026-01-02T03:04:05.678")
    table = pa.table(
        {
            "deal_id": ["1"],
            "created_at": pa.array([moment], pa.timestamp("us")),
            "closed_at": pa.array([moment], pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, folder.path / "deals.parquet")
    assert folder.rows("deals", "created_at", "closed_at") == [
        ("2026-01-02 00:04:05.678000", "2026-01-02 03:04:05.678000")
    ]


def test_quotes_newlines_byte_order_mark_and_mixed_quoting(
    folder: FilesFolder, deals_entry: Entry
) -> None:
    deals_entry("")
    folder.write(
        "deals.csv",
        b"\xef\xbb\xbf"
        b'"deal_id",created_at,"loss_reason"\r\n'
        b'"1","2026-01-02","too ""dear"",\r\nthey said"\r\n'
        b"2,2026-01-03,plain\r\n",
    )
    assert folder.rows("deals", "deal_id", "loss_reason") == [
        ("1", 'too "dear",\r\nthey said'),
        ("2", "plain"),
    ]


def test_mapping_renames_keeps_the_rest_and_names_it(
    folder: FilesFolder, deals_entry: Entry
) -> None:
    deals_entry(
        "    columns: {deal_id: N, created_at: when, channel: from}\n"
        '    values: {channel: {"": unknown, fb: facebook}}\n'
        "    constants: {currency_code: RUB, is_deleted: no}\n"
    )
    folder.write("deals.csv", "N,when,from,colour\n1,2026-01-02,,red\n2,2026-01-02, fb ,\n")
    imported = folder.imported()
    rows = imported.tables["deals"].to_pylist()
    assert [(row["channel"], row["currency_code"], row["is_deleted"]) for row in rows] == [
        ("unknown", "RUB", "false"),
        ("facebook", "RUB", "false"),
    ]
    assert [row["payload"] for row in rows] == ['{"colour":"red"}', '{"colour":null}']
    assert any("colour" in remark for remark in imported.remarks)


def test_empty_is_null_unless_the_owner_maps_it(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at,channel\n1,2026-01-02,\n2,2026-01-02,unknown\n")
    assert folder.rows("deals", "channel") == [(None,), ("unknown",)]


def test_value_may_be_mapped_to_empty(folder: FilesFolder, deals_entry: Entry) -> None:
    deals_entry('    values: {outcome: {"in work": "", "sold": won}}\n')
    folder.write(
        "deals.csv", "deal_id,created_at,outcome\n1,2026-01-02,in work\n2,2026-01-02,sold\n"
    )
    assert folder.rows("deals", "outcome") == [(None,), ("won",)]


def test_encoding_delimiter_header_row_decimal_and_skipped_rows(
    folder: FilesFolder, deals_entry: Entry
) -> None:
    deals_entry(
        "    encoding: windows-1251\n"
        "    delimiter: ;\n"
        "    header_row: 3\n"
        "    decimal: ','\n"
        "    columns: {deal_id: Номер, created_at: Дата, deal_amount: Сумма}\n"
        "    formats: {created_at: '%d.%m.%Y %H:%M'}\n"
        "    skip_rows_where: {Номер: [Итого*, '']}\n"
    )
    folder.write(
        "deals.csv",
        "Отчёт за январь\n\nНомер;Дата;Сумма\n1;02.01.2026 10:00;1\u00a0234,50\n"
        ";;\nИтого за год;;1 234,50\n".encode("cp1251"),
    )
    assert folder.rows("deals", "deal_id", "created_at", "deal_amount") == [
        ("1", "2026-01-02 07:00:00", "1234.50")
    ]


def test_ragged_total_line_can_be_skipped(folder: FilesFolder, deals_entry: Entry) -> None:
    deals_entry("    skip_rows_where: {deal_id: Total}\n")
    folder.write("deals.csv", "deal_id,created_at\n1,2026-01-02\nTotal\n")
    assert folder.rows("deals", "deal_id") == [("1",)]


def test_several_entries_feed_one_table_in_order(folder: FilesFolder) -> None:
    folder.mapping(
        "source_account_id: shop\n"
        "tables:\n"
        "  - {table: pipeline_stages, rows: [{stage_id: new}, {stage_id: won, "
        "stage_category: won}]}\n"
        "  - {table: pipeline_stages, file: more.csv}\n"
    )
    folder.write("more.csv", "stage_id\nlost\n")
    assert folder.rows("pipeline_stages", "stage_id", "stage_category", "row_number") == [
        ("new", None, 1),
        ("won", "won", 2),
        ("lost", None, 3),
    ]


def test_ids_keep_leading_zeros_and_excels_text_formula_gives_its_content(
    folder: FilesFolder,
) -> None:
    folder.write(
        "deals.csv",
        'deal_id,created_at,channel\n007,2026-01-02,=1+1\n"=""008""",2026-01-02,\'x\n',
    )
    assert folder.rows("deals", "deal_id", "channel") == [("007", "=1+1"), ("008", "'x")]


def test_rows_may_belong_to_another_source(folder: FilesFolder) -> None:
    folder.mapping(
        "source_account_id: bank\n"
        "tables:\n"
        "  - {table: payments, file: p.csv, deal_source_system: amocrm,"
        " deal_source_account_id: '900'}\n"
        "  - {table: deals, rows: [{deal_id: '1', created_at: '2026-01-01'}]}\n"
    )
    folder.write("p.csv", "payment_id,paid_at,payment_amount,deal_id\n1,2026-01-02,-5,777\n")
    assert folder.rows(
        "payments", "deal_id", "payment_amount", "deal_source_system", "deal_source_account_id"
    ) == [("777", "-5", "amocrm", "900")]


def test_observed_until_is_the_newest_event_and_due_dates_are_none(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at\n1,2026-01-02T12:00:00+03:00\n")
    folder.write("tasks.csv", "task_id,due_at\n1,2027-01-01\n")
    assert folder.imported().observed_until == "2026-01-02 09:00:00"


def test_observed_until_of_the_mapping_wins(folder: FilesFolder) -> None:
    folder.mapping("source_account_id: shop\ntimezone: Europe/Moscow\nobserved_until: 2026-02-01\n")
    folder.write("deals.csv", "deal_id,created_at\n1,2026-03-02\n")
    imported = folder.imported()
    assert imported.observed_until == "2026-01-31 21:00:00"
    assert any("after observed_until" in remark for remark in imported.remarks)
    (account,) = imported.tables["source_accounts"].to_pylist()
    assert account["time_zone"] == "Europe/Moscow"


def test_events_after_the_import_are_named_and_do_not_move_the_present(
    folder: FilesFolder,
) -> None:
    folder.imported_at = dt.datetime.fromisoformat("2026-03-10T09:00:00")
    folder.mapping(
        f"{HEAD}tables:\n"
        "  - {table: payments, file: p.csv, columns: {payment_id: N, paid_at: Paid,"
        " payment_amount: Sum}}\n"
    )
    folder.write("deals.csv", "deal_id,created_at\n1,2026-03-08\n2,2026-03-10T08:59:59Z\n")
    folder.write("p.csv", "N,Paid,Sum\n1,2026-03-09,5\n2,2026-05-29,5\n3,2026-03-10 12:00:01,5\n")
    folder.write("ad_spend.csv", "spend_date,platform,spend_amount\n2026-03-11,vk,5\n")
    imported = folder.imported()
    assert imported.observed_until == "2026-03-10 08:59:59"
    (account,) = imported.tables["source_accounts"].to_pylist()
    assert account["observed_until"] == "2026-03-10 08:59:59"
    assert imported.tables["payments"].num_rows == 3
    reason = "after the moment of import, so it does not move the present"
    assert imported.remarks == [
        f"tables/mapping.yaml: p.csv:3 [Paid]: {reason} (2 rows) (value '2026-05-28 21:00:00')",
        f"tables/mapping.yaml: p.csv:4 [Paid]: {reason} (2 rows) (value '2026-03-10 09:00:01')",
        f"tables/mapping.yaml: ad_spend.csv:2 [spend_date]: {reason} (value '2026-03-11')",
    ]


def test_folder_of_later_events_alone_is_observed_until_the_import(folder: FilesFolder) -> None:
    folder.imported_at = dt.datetime.fromisoformat("2026-03-10T09:00:00")
    folder.write("deals.csv", "deal_id,created_at\n1,2062-01-05\n")
    assert folder.imported().observed_until == "2026-03-10 09:00:00"


def test_observed_until_of_the_mapping_is_not_after_the_import(folder: FilesFolder) -> None:
    folder.imported_at = dt.datetime.fromisoformat("2026-03-10T09:00:00")
    folder.mapping(f"{HEAD}observed_until: 2026-12-31\n")
    folder.write("deals.csv", "deal_id,created_at\n1,2026-03-08\n")
    imported = folder.imported()
    assert imported.observed_until == "2026-03-10 09:00:00"
    assert any("observed_until 2026-12-30 21:00:00 UTC" in remark for remark in imported.remarks)


def test_phones_and_mails_are_hashed_and_names_left_out(folder: FilesFolder) -> None:
    folder.write(
        "persons.csv",
        "person_id,phone,email,ФИО,Телефон 2,comment\n"
        "1,8 (916) 123-45-67,Ivan@Mail.ru,Иванов Иван,+79161234567,call +7 916 123 45 67\n"
        "2,нет,,,,\n"
        "3,0000000000,Иван <ivan@mail.ru>,,,\n",
    )
    folder.write("sales_reps.csv", "sales_rep_id,sales_rep_name\nanna@firm.ru,Анна\n")
    imported = folder.imported()
    # A hash may hold any digits.
    text = re.sub(r"\b(ph|em)_[0-9a-f]{32}", "", str(imported.tables["persons"].to_pylist()))
    for secret in ("916", "van@", "Иван", "+7"):
        assert secret not in text
    first, second, third = imported.tables["persons"].to_pylist()
    assert first["phone"].startswith("ph_")
    assert first["phone"] in first["payload"]
    assert first["email"].startswith("em_")
    assert second["phone"] is None
    assert third["phone"] is None
    assert third["email"] == first["email"]
    (rep,) = imported.tables["sales_reps"].to_pylist()
    assert rep["sales_rep_name"] is None
    assert "anna" not in rep["sales_rep_id"]


@pytest.mark.parametrize(
    "written",
    [
        "8 (916) 123-45-67",
        "ivan%40mail.ru",
        "https://site.ru/thanks?phone=79161234567&email=ivan%40mail.ru",
        "https://site.ru/?tel=%2B7%28916%29123-45-67",
        "/thanks?tel=%2B7%28916%29123-45-67",
    ],
)
@pytest.mark.parametrize("column", ["landing_url", "referrer", "utm_term", "utm_content", "page"])
def test_visits_hold_no_contacts(folder: FilesFolder, column: str, written: str) -> None:
    folder.write("visits.csv", f"visit_id,visited_at,{column}\n1,2026-01-02,{written}\n")
    (row,) = folder.imported().tables["visits"].to_pylist()
    landed = row["payload"] if column == "page" else row[column]
    assert "ph_" in landed or "em_" in landed
    for secret in ("916", "123-45", "ivan"):
        assert secret not in re.sub("(ph|em)_[0-9a-f]{32}", "", landed)


@pytest.mark.parametrize(
    "header",
    [
        "ФИО клиента",
        "Ф.И.О.",
        "Основной контакт",
        "Полное имя контакта",
        "Контакт (имя)",
        "Получатель",
        "Наименование заказчика",
        "Клиент 2",
        "Contact person",
        "clientName",
        "buyer_full_name",
    ],
)
def test_columns_that_their_header_says_hold_names_are_left_out_and_named(
    folder: FilesFolder, header: str
) -> None:
    folder.mapping(f"{HEAD}tables: [{{table: deals, file: a.csv, on_error: quarantine}}]\n")
    folder.write(
        "a.csv", f"deal_id,created_at,{header},x\n1,2026-01-02,Анна Каренина,y\n2,never,Анна,\n"
    )
    imported = folder.imported()
    assert imported.tables["deals"]["payload"].to_pylist() == ['{"x":"y"}']
    assert "Анна" not in str(imported.tables["quarantined_rows"].to_pylist())
    assert f"tables/mapping.yaml: a.csv: left out as names of people: {header}" in imported.remarks


@pytest.mark.parametrize(
    "header",
    [
        "ID контакта",
        "Клиент №",
        "customer id",
        "customerNo",
        "Тип клиента",
        "Город получателя",
        "Дата контакта",
        "Наименование товара",
        "campaign name",
        "Время",
    ],
)
def test_columns_about_people_that_hold_no_names_stay(folder: FilesFolder, header: str) -> None:
    folder.write("deals.csv", f"deal_id,created_at,{header}\n1,2026-01-02,17\n")
    assert folder.rows("deals", "payload") == [(f'{{"{header}":"17"}}',)]


def test_contacts_of_clients_are_hashed_not_left_out(folder: FilesFolder) -> None:
    folder.write(
        "deals.csv",
        "deal_id,created_at,Рабочий email (контакт),Телефон клиента\n"
        "1,2026-01-02,a@b.ru,+79161234567\n",
    )
    ((payload,),) = folder.rows("deals", "payload")
    assert "em_" in payload
    assert "ph_" in payload


def test_names_of_sales_reps_land_where_settings_say_so(folder: FilesFolder) -> None:
    folder.write("sales_reps.csv", "sales_rep_id,sales_rep_name\nАнна Петрова,Анна Петрова\n")
    folder.write("deals.csv", "deal_id,created_at,sales_rep_id\n1,2026-01-02,Анна Петрова\n")
    ((hidden, name),) = folder.rows("sales_reps", "sales_rep_id", "sales_rep_name")
    assert "Анна" not in hidden
    assert name is None
    assert folder.rows("deals", "sales_rep_id") == [(hidden,)]
    folder.environment = {"VORONKA_SALES_REP_NAMES": "keep"}
    assert folder.rows("sales_reps", "sales_rep_id", "sales_rep_name") == [
        ("Анна Петрова", "Анна Петрова")
    ]


def test_kept_personal_data_lands_as_it_is(folder: FilesFolder) -> None:
    folder.environment = {"VORONKA_PERSONAL_DATA": "keep"}
    folder.write("persons.csv", "person_id,phone,ФИО\n1,+79161234567,Иванов\n")
    (row,) = folder.imported().tables["persons"].to_pylist()
    assert (row["phone"], row["payload"]) == ("+79161234567", '{"ФИО":"Иванов"}')


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-01-02", MOSCOW, "2026-01-01 21:00:00"),
        ("2026-01-02 03:04", MOSCOW, "2026-01-02 00:04:00"),
        ("2026-01-02T03:04:05.1Z", MOSCOW, "2026-01-02 03:04:05.100000"),
        ("2026-01-02T03:04:05,123456789+05:30", MOSCOW, "2026-01-01 21:34:05.123456"),
        ("2026-01-02 03:04:05 -03", MOSCOW, "2026-01-02 06:04:05"),
        # Clocks of Sao Paulo jumped over this midnight; the day must stay the same day.
        ("2017-10-15", SAO_PAULO, "2017-10-15 03:00:00"),
        # An hour that came twice is taken the first time.
        ("2018-02-17 23:30:00", SAO_PAULO, "2018-02-18 01:30:00"),
        ("2018-02-26 19:58:54", SAO_PAULO, "2018-02-26 22:58:54"),
    ],
)
def test_times_become_utc(text: str, zone: ZoneInfo, utc: str) -> None:
    assert parse_iso_time(text, zone).isoformat(sep=" ") == utc
    parsed = parse_column(pa.array([text]), Column("at", "time"), Parsing(zone))
    assert parsed.values.to_pylist() == [utc]


@settings(deadline=None)
@given(
    st.lists(
        st.datetimes(
            dt.datetime.fromisoformat("1972-01-01"), dt.datetime.fromisoformat("2090-01-01")
        ).map(lambda moment: moment.replace(microsecond=0, fold=0)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(
        ["Europe/Moscow", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
)
def test_fast_and_exact_reading_of_times_agree(moments: list[dt.datetime], name: str) -> None:
    zone = ZoneInfo(name)
    texts = [moment.isoformat(sep=" ") for moment in moments]
    fast = parse_column(pa.array(texts), Column("at", "time"), Parsing(zone))
    assert len(fast.bad_rows) == 0
    assert fast.values.to_pylist() == [
        parse_iso_time(text, zone).isoformat(sep=" ") for text in texts
    ]


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01 00:00:00", "02.01.2026", "46023", "x"])
def test_other_times_do_not_parse(text: str) -> None:
    parsed = parse_column(
        pa.array(["2026-01-01 00:00:00", text]), Column("at", "time"), Parsing(MOSCOW)
    )
    assert parsed.bad_rows.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1 234.50", "1234.50"),
        ("+007", "7"),
        ("\u2212 5", "-5"),
        ("9999999999999999.99", "9999999999999999.99"),
        ("99999999999999999", None),
        ("1e5", None),
        ("1,234.50", None),
        ("(5)", None),
        ("=1+1", None),
        ("NaN", None),
        ("5 ₽", None),
        ("٥", None),
    ],
)
def test_money_is_a_plain_decimal_or_refused(text: str, number: str | None) -> None:
    parsed = parse_column(pa.array([text]), Column("sum", "money"), Parsing(MOSCOW))
    assert parsed.values.to_pylist() == [number]
    assert len(parsed.bad_rows) == (number is None)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50", "1234.50"),
        ("-12,345,678", "-12345678"),
        ("1234.5", "1234.5"),
        ("12,50", None),
        ("1,23,4", None),
        ("1234,567", None),
        ("1,234.567,8", None),
        (",234", None),
    ],
)
def test_thousands_stand_in_groups_of_three(text: str, number: str | None) -> None:
    parsing = Parsing(MOSCOW, thousands=",")
    parsed = parse_column(pa.array([text]), Column("sum", "money"), parsing)
    assert parsed.values.to_pylist() == [number]


DECIMAL_COMMA = "    decimal: ','\n    thousands: '.'\n"


def test_number_cells_of_a_workbook_have_no_separators(folder: FilesFolder) -> None:
    folder.mapping(f"{HEAD}tables:\n  - table: deals\n    file: deals.xlsx\n{DECIMAL_COMMA}")
    write_workbook(
        folder.path / "deals.xlsx",
        [
            ["deal_id", "created_at", "deal_amount", "weight"],
            ["1", "2026-01-02", 1234.5, 0.5],
            ["2", "2026-01-02", 99.99, None],
            ["3", "2026-01-02", 1000, None],
            ["4", "2026-01-02", "1.234,50", None],
            ["5", "2026-01-02", "1.234", None],
            ["6", "2026-01-02", 1.234, None],
            ["7", "2026-01-02", None, None],
        ],
    )
    assert folder.rows("deals", "deal_id", "deal_amount") == [
        ("1", "1234.5"),
        ("2", "99.99"),
        ("3", "1000"),
        ("4", "1234.50"),
        ("5", "1234"),
        ("6", "1.234"),
        ("7", None),
    ]
    assert folder.rows("deals", "payload")[0] == ('{"weight":"0.5"}',)


def test_number_cells_stay_numbers_behind_skipped_rows(folder: FilesFolder) -> None:
    folder.mapping(
        f"{HEAD}tables:\n  - table: deals\n    file: deals.xlsx\n    decimal: ','\n"
        "    skip_rows_where: {deal_id: Total}\n"
    )
    write_workbook(
        folder.path / "deals.xlsx",
        [
            ["deal_id", "created_at", "deal_amount"],
            ["Total", None, "99,5"],
            ["1", "2026-01-02", 1.5],
            ["2", "2026-01-02", "2,5"],
        ],
    )
    assert folder.rows("deals", "deal_amount") == [("1.5",), ("2.5",)]


def test_number_columns_of_parquet_have_no_separators(folder: FilesFolder) -> None:
    folder.mapping(
        f"{HEAD}tables:\n  - table: deals\n    file: deals.parquet\n{DECIMAL_COMMA}"
        "  - table: invoices\n    file: invoices.parquet\n" + DECIMAL_COMMA
    )
    sums = [Decimal("1234.50"), Decimal("99.99")]
    pq.write_table(
        pa.table(
            {
                "deal_id": ["1", "2"],
                "created_at": ["2026-01-02", "2026-01-02"],
                "deal_amount": pa.array(sums, pa.decimal128(10, 2)),
            }
        ),
        folder.path / "deals.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "invoice_id": ["1", "2"],
                "issued_at": ["2026-01-02", "2026-01-02"],
                "invoice_amount": ["1.234,50", "99,99"],
            }
        ),
        folder.path / "invoices.parquet",
    )
    assert folder.rows("deals", "deal_amount") == [("1234.50",), ("99.99",)]
    assert folder.rows("invoices", "invoice_amount") == [("1234.50",), ("99.99",)]


def test_bad_number_cells_and_bad_number_texts_are_both_found(folder: FilesFolder) -> None:
    folder.mapping(f"{HEAD}tables:\n  - table: deals\n    file: deals.xlsx\n    decimal: ','\n")
    write_workbook(
        folder.path / "deals.xlsx",
        [
            ["deal_id", "created_at", "deal_amount"],
            ["1", "2026-01-02", "dear"],
            ["2", "2026-01-02", 1e20],
            ["3", "2026-01-02", 1.5],
        ],
    )
    errors = folder.errors()
    assert [error.split(":")[1].split(" ")[0] for error in errors] == ["2", "3"]


@pytest.mark.parametrize(("text", "flag"), [("ДА", "true"), ("0", "false"), ("maybe", None)])
def test_booleans(text: str, flag: str | None) -> None:
    parsed = parse_column(pa.array([text]), Column("is", "boolean"), Parsing(MOSCOW))
    assert parsed.values.to_pylist() == [flag]


def test_mapping_may_stand_elsewhere(folder: FilesFolder, tmp_path: Path) -> None:
    folder.write("deals.csv", "deal_id,created_at\n1,2026-01-02\n")
    elsewhere = tmp_path / "shop.yaml"
    elsewhere.write_text("source_account_id: shop\nfolder: tables\n")
    folder.path = elsewhere
    assert folder.rows("deals", "deal_id") == [("1",)]
