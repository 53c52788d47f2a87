"""What lands is the vendor's record less personal data, the same bytes however it was spelled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import dlt
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunks import ChunkBudget
from ingest.config import Home, dlt_configured, load_settings
from ingest.landing import land_pull
from ingest.loading import pipeline_for
from ingest.privacy import _EMAIL, _PHONE_RUN, Privacy, PrivacyRules
from ingest.records import Pull, new_pull_id, record_batch, utc_now
from ingest.stored_state import StoredState
from ingest.warehouse import ensure_raw_tables, open_warehouse

RULES = PrivacyRules(
    drop=frozenset({"first_name"}),
    phones=frozenset({"phone"}),
    emails=frozenset({"email"}),
    keep=frozenset({"_links"}),
)
PERSONAL = re.compile(r"916\D{0,3}123\D{0,2}45|ivan@firm|Иванов")

HOSTILE = st.sampled_from(
    [
        "",
        "звонить +7 (916) 123-45-67, вечером",
        "тел89161234567Иван",
        "79161234567",
        "8\u00a0916\u00a0123\u201145\u201167",
        "пишите: ivan@firm.example; второй ivan@firm.example",
        "%2B79161234567",
        "2026-11-21 10:00",
        "GA1.2.1234567890.1763000000",
        'кавычки " и \\ и / и \u2028 и \x00 и \x1f и \U0001f600',
        "e\u0301 é ﬁ ٠١٢٣٤٥٦٧٨٩",
        "https://x.example/a?b=1&c=+79161234567",
    ]
)
TEXTS = HOSTILE | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([79161234567, 0, -0.0, 1e300, 1763000000])
)
KEYS = st.sampled_from(
    ["id", "name", "text", "first_name", "phone", "email", "_links", "note", "values", "ключ"]
)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=6)


@pytest.fixture(scope="module")
def privacy(tmp_path_factory: pytest.TempPathFactory) -> Privacy:
    return Privacy(load_settings({"VORONKA_HOME": str(tmp_path_factory.mktemp("home"))}))


def landed(
    record: dict[str, Any], scrub: Callable[[dict[str, Any]], dict[str, Any]] | None
) -> tuple[bytes, str]:
    batch = record_batch(
        [record],
        account_id="900",
        pull_id="pull",
        id_of=lambda _: "1",
        cursor_of=lambda _: None,
        privacy=scrub,
    )
    batch.validate(full=True)
    payload: str = batch.column("payload")[0].as_py()
    digest: str = batch.column("payload_hash")[0].as_py()
    return payload.encode(), digest


def in_full(privacy: Privacy, text: str) -> str:
    """Search a text in full: no look before that could spare the search."""
    text = _EMAIL.sub(lambda found: privacy.hash_email(found.group()), text)
    return _PHONE_RUN.sub(lambda found: privacy._mask_run(found.group(), False), text)


def without_personal_data(privacy: Privacy, value: Any) -> Any:
    """Return a copy as the rules say it, in the plainest way there is."""
    if isinstance(value, str):
        return in_full(privacy, value)
    if isinstance(value, list):
        return [without_personal_data(privacy, item) for item in value]
    if not isinstance(value, dict):
        return value
    clean: dict[str, Any] = {}
    for key, item in value.items():
        if key in RULES.drop:
            clean[key] = None
        elif key in RULES.keep:
            clean[key] = item
        elif key in RULES.phones:
            is_phone = isinstance(item, str | int) and not isinstance(item, bool) and item != ""
            clean[key] = privacy.hash_phone(item) if is_phone else item
        elif key in RULES.emails:
            is_text = isinstance(item, str) and item != ""
            clean[key] = privacy.hash_contact_point(item) if is_text else item
        else:
            clean[key] = without_personal_data(privacy, item)
    return clean


@settings(deadline=None, max_examples=100)
@given(RECORDS)
def test_a_scrubbed_payload_is_what_the_plain_rules_give(
    privacy: Privacy, record: dict[str, Any]
) -> None:
    expected = orjson.dumps(without_personal_data(privacy, orjson.loads(orjson.dumps(record))))
    payload, digest = landed(orjson.loads(orjson.dumps(record)), privacy.scrubber(RULES))
    assert payload == expected
    assert (
        digest
        == blake2b(
            re.sub(rb'("href":"[^"?]*)\?[^"]*', rb"\1", expected), digest_size=16
        ).hexdigest()
    )


@settings(deadline=None, max_examples=50)
@given(RECORDS)
def test_a_kept_payload_is_the_record_whole(record: dict[str, Any]) -> None:
    payload, _ = landed(record, None)
    assert payload == orjson.dumps(record)
    assert json.loads(payload) == record


@settings(deadline=None, max_examples=50)
@given(RECORDS)
def test_the_vendors_spelling_of_a_record_does_not_count(
    privacy: Privacy, record: dict[str, Any]
) -> None:
    scrub = privacy.scrubber(RULES)
    spellings = [
        json.dumps(record, ensure_ascii=True),
        json.dumps(record, ensure_ascii=False, indent=1),
        json.dumps(record, ensure_ascii=True).replace("/", "\\/"),
    ]
    assert len({landed(orjson.loads(spelling), scrub) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    "spelled",
    [
        b'{"id":1,"name":"+7 916 123-45-67","name":"\\u002b7 916 123\\u002d45\\u002d67"}',
        b'{"id":1,"phone":"+7 916 123-45-67","phone":null}',
        b'{"id":1,"text":[["a",["ivan\\u0040firm.example"]],{"x":{"y":"8 (916) 123-45-67"}}]}',
        b'{"id":1,"phone":79161234567}',
        b'{"id":1,"first_name":{"value":"\\u0418\\u0432\\u0430\\u043d\\u043e\\u0432"}}',
        b'{"id":1,"email":"Ivan@Firm.example, ivan@firm.example"}',
        b'{"id":12345678901234567890123456789,"name":"ivan@firm.example"}',
    ],
)
def test_no_spelling_hides_a_person(privacy: Privacy, spelled: bytes) -> None:
    payload, _ = landed(orjson.loads(spelled), privacy.scrubber(RULES))
    text = re.sub("ph_[0-9a-f]{32}|em_[0-9a-f]{32}", "", payload.decode())
    assert PERSONAL.search(text) is None


def test_hostile_payloads_survive_file_and_warehouse(tmp_path: Any) -> None:
    home = Home(tmp_path)
    ensure_raw_tables(home)
    records = [
        {"id": 1, "name": 'NUL \x00, " \\ / \u2028 \U0001f600 e\u0301'},
        {"id": 2, "name": "x" * 3_000_000},
        {"id": 3, "name": "", "big": 2**64 - 1, "small": -(2**63), "half": 0.1, "far": 1e300},
        {"id": 4, "nested": [[[[]]], {"": {"": None}}]},
        *({"id": number, "name": "я" * (number % 40)} for number in range(5, 4_000)),
    ]
    pull = Pull(new_pull_id(), "900", "users", "window", utc_now())
    batches = [
        record_batch(
            records,
            account_id="900",
            pull_id=pull.pull_id,
            id_of=lambda record: str(record["id"]),
            cursor_of=lambda _: None,
        )
    ]
    resource = dlt.resource(
        land_pull(StoredState(home.warehouse, "raw_amocrm"), ChunkBudget(), "users", pull, batches),
        name="users",
        write_disposition="append",
    )
    with dlt_configured(home):
        pipeline_for(home, "amocrm").run(resource, loader_file_format="parquet")
    with open_warehouse(home.warehouse) as connection:
        found = dict(
            connection.execute("select record_id, payload from raw_amocrm.users").fetchall()
        )
    assert found == {str(record["id"]): orjson.dumps(record).decode() for record in records}
