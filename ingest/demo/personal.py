"""What a privacy scan must not find: every personal value of the simulated firm, in every form."""

from __future__ import annotations

import re

from ingest.demo.arrow import Column
from ingest.demo.tables import CompanyTables

_PHONE = re.compile(r"(?:\+7|\b[78])[ (]*\d{3}[ )]*\d{3}[ -]?\d{2}[ -]?\d{2}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def _texts(column: Column) -> list[str]:
    return [text for text in column.to_pylist() if text]


def phone_forms(written: str) -> set[str]:
    """Return a phone number as it was written, in E.164, and as bare digits with 7 and with 8."""
    digits = re.sub(r"\D", "", written)
    subscriber = digits[-10:]
    return {written, f"+7{subscriber}", f"7{subscriber}", f"8{subscriber}"}


def personal_data_values(tables: CompanyTables) -> set[str]:
    """Return all phones in their written and normal forms, e-mails and full names in the tables.

    Single first names are left out: "Вера" alone tells nothing and stands in ordinary text.
    """
    found: set[str] = set()
    for column in (
        tables.contacts.column("phone"),
        tables.companies.column("phone"),
        tables.calls.column("phone"),
        tables.unsorted.column("phone"),
    ):
        for phone in set(_texts(column)):
            found |= phone_forms(phone)
    for column in (
        tables.deals.column("name"),
        tables.notes.column("text"),
        tables.tasks.column("text"),
        tables.tasks.column("result_text"),
    ):
        for text in set(_texts(column)):
            for phone in _PHONE.findall(text):
                found |= phone_forms(phone)
            found.update(_MAIL.findall(text))
    for table in (tables.contacts, tables.companies, tables.users):
        found.update(_texts(table.column("email")))
    for first, last in zip(
        tables.contacts.column("first_name").to_pylist(),
        tables.contacts.column("last_name").to_pylist(),
        strict=True,
    ):
        if first and last:
            found |= {f"{first} {last}", f"{last} {first}"}
    found.update(name for name in _texts(tables.users.column("name")) if " " in name)
    found.update(
        name
        for name in _texts(tables.invoices.column("payer_name"))
        if "ООО" not in name and " " in name
    )
    return found
