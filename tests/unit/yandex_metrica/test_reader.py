"""Logs as text: torn ones, odd ones, and ones larger than the memory they may take."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator

import pyarrow as pa
import pytest

from ingest.sources.yandex_metrica.reader import (
    BrokenLogError,
    check_whole,
    read_log,
    unescaped,
)


def rows(text: str | bytes, *names: str) -> list[tuple[str, ...]]:
    """Return the rows of a log with these columns."""
    given = text.encode() if isinstance(text, str) else text
    return [
        tuple(row.values())
        for batch in read_log(io.BytesIO(given), names)
        for row in batch.to_pylist()
    ]


def test_numbers_stay_text_and_nothing_is_absent() -> None:
    text = "id\tn\n18446744073709551615\t\n007\tNULL\n\\N\tnan\n"
    assert rows(text, "id", "n") == [
        ("18446744073709551615", ""),
        ("007", "NULL"),
        ("N", "nan"),
    ]


def test_quotes_mean_nothing() -> None:
    assert rows('a\tb\n"x\ty"\n""\t"\n', "a", "b") == [('"x', 'y"'), ('""', '"')]


def test_columns_are_found_by_name_and_others_left_out() -> None:
    assert rows("c\tb\ta\n3\t2\t1\n", "a", "b") == [("1", "2")]


def test_a_log_without_visits_has_no_rows() -> None:
    assert rows("a\tb\n", "a", "b") == []


def test_one_address_that_is_no_utf8_does_not_cost_the_log() -> None:
    assert rows(b"a\tb\n\xff\xfe?\t1\nok\t2\n", "a", "b") == [("\ufffd\ufffd?", "1"), ("ok", "2")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"a\n1\n", "other columns"),
        (b"a\tb\n1\t2\n3\n", "cannot be read"),
        (b"a\tb\n1\t2\tivan@mail.example\n", "cannot be read"),
    ],
)
def test_a_broken_log_is_told_without_its_content(text: bytes, words: str) -> None:
    with pytest.raises(BrokenLogError, match=words) as caught:
        rows(text, "a", "b")
    assert "mail.example" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        (r"a\tb\nc\\d", "a\tb\nc\\d"),
        (r"it\'s", "it's"),
        (r"[\'2026-11-01\',\'b\']", "['2026-11-01','b']"),
        (r"[\'it\\\'s\']", r"['it\'s']"),
        (r"['it\'s']", r"['it\'s']"),
        ("[]", "[]"),
        ("\\", "\\"),
    ],
)
def test_escapes_are_taken_back(written: str, meant: str) -> None:
    assert unescaped(written) == meant


@pytest.mark.parametrize(
    ("text", "told", "words"),
    [(b"a\n1", 0, "within a line"), (b"a\n1\n", 5, "4 bytes of 5")],
)
def test_a_part_that_ends_early_is_seen(text: bytes, told: int, words: str) -> None:
    with pytest.raises(BrokenLogError, match=words):
        check_whole(io.BytesIO(text), told)


def test_a_part_that_was_told_packed_is_whole() -> None:
    check_whole(io.BytesIO(b"a\n1\n"), 2)


def test_a_log_larger_than_its_memory_is_read_in_pieces() -> None:
    line = "1234567890123456789\t" + "https://shop.example/catalogue/" + "x" * 400 + "\n"
    count, block = 120_000, 1 << 20

    def pieces() -> Iterator[bytes]:
        yield b"id\turl\n"
        for _ in range(count // 1000):
            yield line.encode() * 1000

    with tempfile.TemporaryFile() as file:
        file.writelines(pieces())
        size = file.tell()
        file.seek(0)
        base, most, read = pa.total_allocated_bytes(), 0, 0
        for batch in read_log(file, ["id", "url"], block):
            read += batch.num_rows
            most = max(most, pa.total_allocated_bytes() - base)
    assert read == count
    assert size > 50_000_000
    assert most < 10 * block
