"""Bad input never half-loads: every error names file, line, column and value."""

from __future__ import annotations

import gzip

import pytest

from tests.unit.files.conftest import HEAD, Entry, FilesFolder
from tests.unit.files.workbooks import Fault, sheet_body, write_sheets, write_workbook

GOOD = "deal_id,created_at\n1,2026-01-02\n"


def test_value_that_does_not_parse_shows_the_first_five_places(folder: FilesFolder) -> None:
    bad = "".join(f"{number},yesterday{number}\n" for number in range(10, 19))
    folder.write("deals.csv", 'deal_id,created_at\n1,"2026-01-02"\n' + bad)
    errors = folder.errors()
    assert len(errors) == 5
    assert errors[0] == (
        "deals.csv:3 [created_at]: not a time YYYY-MM-DD HH:MM:SS (ISO 8601) (9 rows) "
        "(value 'yesterday10')"
    )
    assert errors[4].startswith("deals.csv:7 ")


def test_line_numbers_count_lines_inside_quotes(folder: FilesFolder) -> None:
    folder.write(
        "deals.csv",
        'deal_id,loss_reason,created_at\r\n1,"a\r\nb\r\nc",2026-01-02\r\n\r\n2,x,never\r\n',
    )
    assert folder.errors()[0].startswith("deals.csv:6 [created_at]")


def test_required_column_and_value(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id\n1\n")
    assert folder.errors() == ["deals.csv [created_at]: required column is missing"]
    folder.write("deals.csv", "deal_id,created_at\n,2026-01-02\n")
    assert folder.errors() == ["deals.csv:2 [deal_id]: required value is empty"]


def test_mapped_column_that_is_not_there(folder: FilesFolder, deals_entry: Entry) -> None:
    deals_entry("    columns: {deal_id: id, created_at: made, channel: from}\n")
    folder.write("deals.csv", "id,made\n1,2026-01-02\n")
    assert folder.errors() == ["deals.csv [from]: no such column"]


def test_wrong_delimiter_is_recognised(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id;created_at\n1;2026-01-02\n")
    assert "set delimiter" in folder.errors()[0]


def test_wrong_encoding_names_the_line(folder: FilesFolder) -> None:
    folder.write("deals.csv", GOOD.encode() + b"2,2026-01-02," + "Имя\n".encode("cp1251"))
    (error,) = folder.errors()
    assert error.startswith("deals.csv:3: not utf-8 text (byte 0xc8)")


def test_duplicate_ids_across_files(folder: FilesFolder) -> None:
    folder.mapping(
        f"{HEAD}tables:\n  - {{table: deals, file: a.csv}}\n  - {{table: deals, file: b.csv}}\n"
    )
    folder.write("a.csv", GOOD)
    folder.write("b.csv", "deal_id,created_at\n2,2026-01-02\n1,2026-01-03\n")
    assert folder.errors() == ["b.csv:3 [deal_id]: duplicate deal_id (value '1')"]


def test_reference_to_an_id_missing_from_a_supplied_table(folder: FilesFolder) -> None:
    folder.write("deals.csv", GOOD)
    folder.write(
        "stage_changes.csv",
        "deal_id,changed_at,to_stage_id\n1,2026-01-02,new\n9,2026-01-02,new\n",
    )
    assert folder.errors() == [
        "stage_changes.csv:3 [deal_id]: deal_id is not in the supplied table deals (value '9')"
    ]


def test_references_to_a_table_that_is_not_supplied_are_fine(folder: FilesFolder) -> None:
    folder.write(
        "stage_changes.csv",
        "deal_id,changed_at,to_stage_id,changed_by_sales_rep_id\n9,2026-01-02,new,anna\n",
    )
    assert folder.errors() == []


def test_stage_must_exist_in_the_pipeline_of_its_row(folder: FilesFolder) -> None:
    folder.write("pipeline_stages.csv", "pipeline_id,stage_id\na,new\nb,won\n")
    folder.write(
        "stage_changes.csv",
        "deal_id,changed_at,pipeline_id,from_stage_id,to_stage_id\n"
        "1,2026-01-02,b,new,won\n1,2026-01-03,a,won,won\n2,2026-01-03,,won,won\n",
    )
    errors = folder.errors()
    assert len(errors) == 1
    assert errors[0].startswith("stage_changes.csv:3 [to_stage_id]")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty: no header"),
        (b"deal_id,created_at\n1,\x00\n", "NUL"),
        ("deal_id,created_at\n1,2026-01-02\n".encode("utf-16"), "not utf-8"),
        (b'deal_id,created_at\n1,"2026\n', "never closed"),
        (b'deal_id,created_at\n1,"2026"x\n', "well-formed"),
        (b"deal_id,created_at\n1\n", "1 fields where the header has 2"),
        (b"deal_id,created_at,created_at\n1,2026-01-02,2026-01-02\n", "2 columns of this name"),
        (b'deal_id,created_at\n1,"' + b"x" * 200_000 + b'"\n', "field larger"),
    ],
)
def test_broken_csv_is_one_clear_error(folder: FilesFolder, content: bytes, words: str) -> None:
    folder.write("deals.csv", content)
    errors = folder.errors()
    assert len(errors) == 1
    assert words in errors[0]


def test_named_encoding_must_be_the_right_one(folder: FilesFolder, deals_entry: Entry) -> None:
    deals_entry("    encoding: utf-16\n")
    folder.write("deals.csv", GOOD)
    (error,) = folder.errors()
    assert error.startswith("deals.csv: not utf-16 text")
    folder.write("deals.csv", GOOD.encode("utf-16"))
    assert folder.errors() == []


@pytest.mark.parametrize("name", ["deals.csv.gz", "deals.xlsx", "deals.parquet"])
def test_file_of_another_kind_is_unreadable(folder: FilesFolder, name: str) -> None:
    folder.write(name, b"this is no such file at all")
    (error,) = folder.errors()
    assert error.startswith(name)


def test_missing_file(folder: FilesFolder, deals_entry: Entry) -> None:
    deals_entry("")
    assert folder.errors() == ["deals.csv: no such file"]


def test_gzip_bomb_is_not_unpacked(folder: FilesFolder) -> None:
    folder.limit = 1_000_000
    folder.write("deals.csv.gz", gzip.compress(GOOD.encode() + b"1,2\n" * 1_000_000))
    assert any("unpacks to more than 1000000 bytes" in error for error in folder.errors())


def test_truncated_gzip_is_damaged(folder: FilesFolder) -> None:
    whole = gzip.compress(GOOD.encode() * 1)
    folder.write("deals.csv.gz", whole[:-12])
    (error,) = folder.errors()
    assert "damaged gzip" in error


def test_workbook_bomb_is_not_unpacked(folder: FilesFolder) -> None:
    folder.limit = 1_000_000
    write_sheets(folder.path / "deals.xlsx", ["<!--" + " " * 3_000_000 + "-->"])
    (error,) = folder.errors()
    assert "unpacks to more than" in error


def test_workbook_that_spans_all_cells_is_not_allocated(folder: FilesFolder) -> None:
    body = (
        '<row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )
    write_sheets(folder.path / "deals.xlsx", [body])
    (error,) = folder.errors()
    assert "1048576 rows x 16384 columns" in error


def test_sheet_must_be_named_where_there_are_several(
    folder: FilesFolder,
) -> None:
    write_workbook(folder.path / "deals.xlsx", [["deal_id"]], sheets=2)
    (error,) = folder.errors()
    assert "Sheet1, Sheet2" in error


def test_line_of_a_workbook_is_its_row(folder: FilesFolder) -> None:
    write_workbook(
        folder.path / "deals.xlsx",
        [[None, None], ["deal_id", "created_at"], [None, None], ["1", "never"]],
    )
    (error,) = folder.errors()
    assert error.startswith("deals.xlsx:4 [created_at]")


HEADER = ["deal_id", "created_at", "deal_amount", "channel", "note"]


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Fault(error="#N/A"), "#N/A"),
        (Fault(error="#DIV/0!", formula="A2/0"), "#DIV/0!"),
        (Fault(formula="1+1"), "=1+1"),
        (Fault(formula='IF(A2<5,"x","y")', stored="<v></v>"), '=IF(A2<5,"x","y")'),
        (Fault(formula="1+1", stored="<v/>"), "=1+1"),
    ],
)
def test_cell_of_a_workbook_without_a_value_is_no_empty_cell(
    folder: FilesFolder, fault: Fault, shown: str
) -> None:
    write_workbook(
        folder.path / "deals.xlsx",
        [
            HEADER,
            ["1", "2026-01-02", fault, None, None],
            ["2", "2026-01-02", 5, fault, None],
            [fault, "2026-01-02", 5, None, None],
        ],
    )
    reason = "not a value but an error or a formula saved without its result"
    assert sorted(folder.errors()) == [
        f"deals.xlsx:2 [deal_amount]: {reason} (value {shown!r})",
        f"deals.xlsx:3 [channel]: {reason} (value {shown!r})",
        f"deals.xlsx:4 [deal_id]: {reason} (value {shown!r})",
    ]


def test_rows_of_faults_alone_are_rows(folder: FilesFolder) -> None:
    rows = [[Fault(formula=f"{name}{number}") for name in "ABC"] for number in range(2, 9)]
    write_workbook(folder.path / "deals.xlsx", [HEADER[:3], *rows])
    errors = folder.errors()
    assert len(errors) == 15
    assert "(7 rows)" in errors[0]


def test_faults_outside_the_mapping_stay_visible_and_known_ones_are_mapped(
    folder: FilesFolder,
) -> None:
    folder.mapping(
        f"{HEAD}tables:\n  - table: deals\n    file: deals.xlsx\n"
        "    values: {channel: {'#N/A': unknown}, deal_amount: {'#N/A': ''}}\n"
    )
    missing = Fault(error="#N/A")
    write_workbook(
        folder.path / "deals.xlsx", [HEADER, ["1", "2026-01-02", missing, missing, missing]]
    )
    assert folder.rows("deals", "deal_amount", "channel", "payload") == [
        (None, "unknown", '{"note":"#N/A"}')
    ]


def test_quarantine_takes_rows_with_faults(folder: FilesFolder) -> None:
    folder.mapping(f"{HEAD}tables: [{{table: deals, file: a.xlsx, on_error: quarantine}}]\n")
    write_workbook(
        folder.path / "a.xlsx",
        [HEADER[:3], ["1", "2026-01-02", Fault(error="#REF!")], ["2", "2026-01-02", 5]],
    )
    imported = folder.imported()
    assert imported.tables["deals"]["deal_id"].to_pylist() == ["2"]
    (row,) = imported.tables["quarantined_rows"].to_pylist()
    assert row["line_number"] == 2
    assert "#REF!" in row["payload"]


def test_faults_of_another_sheet_and_results_of_formulas_are_fine(folder: FilesFolder) -> None:
    folder.mapping(f"{HEAD}tables: [{{table: deals, file: deals.xlsx, sheet: Sheet2}}]\n")
    good = [
        HEADER[:4],
        ["1", "2026-01-02", Fault(formula="1+1", stored="<v>2</v>"), None],
    ]
    empty_text = '<c r="D2" t="str"><f>IF(A2,"","x")</f><v></v></c></row>'
    body = sheet_body(good).removesuffix("</row>") + empty_text
    write_sheets(folder.path / "deals.xlsx", [sheet_body([["x"], [Fault(error="#N/A")]]), body])
    assert folder.rows("deals", "deal_amount", "channel") == [("2", None)]


def test_faults_are_found_wherever_the_file_is_cut_into_blocks(folder: FilesFolder) -> None:
    long = "x" * 30_000
    rows = [
        [str(number), "2026-01-02", Fault(formula=f'N("{long}")&{number}'), None, long]
        for number in range(2, 80)
    ]
    write_workbook(folder.path / "deals.xlsx", [HEADER, *rows])
    assert "(78 rows)" in folder.errors()[0]


def test_overflowing_money_is_refused(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at,deal_amount\n1,2026-01-02,12345678901234567\n")
    assert "at most 16 digits" in folder.errors()[0]


def test_personal_values_are_never_shown(folder: FilesFolder) -> None:
    folder.write("persons.csv", "person_id,company_id\n+79161234567,1\n+79161234567,1\n")
    assert "9161234567" not in str(folder.errors())


def test_file_without_a_header_is_not_quoted(folder: FilesFolder) -> None:
    folder.write("deals.csv", "Иванов Иван;+79161234567;ivan@mail.ru;2026-01-01\n")
    assert folder.errors() == [
        f"deals.csv [{column}]: required column is missing (the header is one column with the sign"
        " ';' in it; set delimiter)"
        for column in ("deal_id", "created_at")
    ]


@pytest.mark.parametrize(
    "value",
    [
        "+7 916 123-45-67 Иван",
        "ivan@mail.ru",
        "8 916 123-45-67",
        "Иванов",
        "ИВАНОВ И.",
        "иванов иван",
    ],
)
def test_values_that_slipped_into_another_column_are_not_quoted(
    folder: FilesFolder, value: str
) -> None:
    content = f"deal_id,created_at,deal_amount,is_deleted\n1,{value},{value},{value}\n"
    folder.write("deals.csv", content)
    errors = folder.errors()
    assert len(errors) == 3
    folder.mapping(f"{HEAD}tables: [{{table: deals, file: deals.csv, on_error: quarantine}}]\n")
    (row,) = folder.imported().tables["quarantined_rows"].to_pylist()
    for text in (*errors, row["payload"]):
        for secret in ("123-45-67", "ivan", "иван", "иванов"):
            assert secret not in text.lower()


def test_repeated_ids_that_hold_contacts_are_not_quoted(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at\n" + "ivan@mail.ru,2026-01-02\n" * 2)
    (error,) = folder.errors()
    assert "ivan" not in error


@pytest.mark.parametrize("value", ["31.12.26", "12.5 руб", "yesterday", "#Н/Д", "1e5"])
def test_values_that_are_nobodys_are_shown(folder: FilesFolder, value: str) -> None:
    folder.write("deals.csv", f"deal_id,created_at\n1,{value}\n")
    assert folder.errors()[0].endswith(f"(value {value!r})")


def test_all_errors_of_all_tables_come_at_once(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at,outcome\n1,never,perhaps\n")
    folder.write("ad_spend.csv", "spend_date,platform,spend_amount,vat_rate\n2026,vk,x,20\n")
    assert len(folder.errors()) == 5


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("timezone: Mars/Base\n", "[source_account_id]: missing"),
        ("source_account_id: a\ntimezone: Mars/Base\n", "not a zone"),
        ("source_account_id: a\nspeed: fast\n", "[speed]: unknown key; allowed are"),
        ("source_account_id: a\ntables:\n  - {table: leads, file: a.csv}\n", "unknown table"),
        (
            "source_account_id: a\ntables:\n  - {table: deals, file: a.csv, colums: {}}\n",
            "[tables[0].colums]: unknown key; allowed are table, file",
        ),
        (
            "source_account_id: a\ntables:\n  - {table: deals, file: a.csv, columns: {x: y}}\n",
            "unknown column 'x' of deals; its columns are deal_id",
        ),
        ("source_account_id: a\nsource_account_id: b\n", "mapping.yaml:2: not YAML"),
        ("source_account_id: [\n", "not YAML"),
        ("source_account_id: a\ntables: [{table: deals}]\n", "give either file or rows"),
        (
            "source_account_id: a\ntables:\n"
            "  - {table: deals, file: a.csv, formats: {created_at: DD-MM-YYYY}}\n",
            "is not a format such as",
        ),
        (
            "source_account_id: a\ntables:\n  - {table: deals, file: a.csv, encoding: klingon}\n",
            "unknown encoding",
        ),
        ("source_account_id: &a b\nfolder: *a\n", "aliases"),
        ("source_account_id: a\nfolder: nowhere\n", "no such folder"),
        ("source_account_id: ' a'\n", "[source_account_id]"),
        ("source_account_id: a\ntables: 5\n", "should be a valid list"),
        ("source_account_id: " + "[" * 3000, "nested too deeply"),
        ("!!python/object/apply:os.system [ls]\n", "not YAML"),
        ("source_account_id: a\n", "no tables"),
        ("", "no keys"),
    ],
)
def test_mistakes_in_the_mapping_name_the_key(
    folder: FilesFolder, mapping: str, words: str
) -> None:
    folder.mapping(mapping)
    errors = folder.errors()
    assert len(errors) == 1
    assert words in errors[0]
    assert errors[0].startswith("tables/mapping.yaml")


def test_two_files_of_one_table_are_ambiguous(folder: FilesFolder) -> None:
    folder.write("deals.csv", GOOD)
    folder.write("deals.csv.gz", gzip.compress(GOOD.encode()))
    assert "both look like the table deals" in folder.errors()[0]


def test_quarantine_lets_the_rest_through(folder: FilesFolder) -> None:
    folder.mapping(
        f"{HEAD}tables:\n"
        "  - {table: deals, file: deals.csv, on_error: quarantine}\n"
        "  - {table: stage_changes, file: moves.csv, on_error: quarantine}\n"
        "  - {table: persons, file: persons.csv, on_error: quarantine}\n"
    )
    folder.write(
        "deals.csv",
        "deal_id,created_at,deal_amount\n1,2026-01-02,5\n2,never,5\n1,2026-01-02,7\n3,2026-01-02\n",
    )
    folder.write(
        "moves.csv", "deal_id,changed_at,to_stage_id\n1,2026-01-02,new\n2,2026-01-02,new\n"
    )
    folder.write("persons.csv", "person_id,phone,is,email\n,+79161234567,x,ivan@mail.ru\n")
    imported = folder.imported()
    assert imported.tables["deals"]["deal_id"].to_pylist() == ["1"]
    assert imported.tables["stage_changes"]["deal_id"].to_pylist() == ["1"]
    found = [
        (row["table_name"], row["line_number"], row["reason"])
        for row in imported.tables["quarantined_rows"].to_pylist()
    ]
    assert sorted(found) == [
        ("deals", 3, "created_at: not a time YYYY-MM-DD HH:MM:SS (ISO 8601)"),
        ("deals", 4, "duplicate deal_id"),
        ("deals", 5, "2 fields where the header has 3"),
        ("persons", 2, "person_id: required value is empty"),
        ("stage_changes", 3, "deal_id is not in the supplied table deals"),
    ]
    payloads = str(imported.tables["quarantined_rows"]["payload"].to_pylist())
    assert "9161234567" not in payloads
    assert "ivan" not in payloads


def test_quarantine_does_not_forgive_a_broken_file(folder: FilesFolder) -> None:
    folder.mapping(f"{HEAD}tables:\n  - {{table: deals, file: a.csv, on_error: quarantine}}\n")
    assert folder.errors() == ["a.csv: no such file"]
