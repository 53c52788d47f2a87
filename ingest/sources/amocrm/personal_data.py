"""Which keys of amoCRM's records hold personal data, and what becomes of them."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ingest.privacy import Handler, Privacy, PrivacyRules

_NAME_FIELD = re.compile(
    r"\b(фио|имя|фамилия|отчество|контактное лицо)\b|\b(first|last|full|contact)[ _]?name\b",
    re.IGNORECASE,
)
_PHONE_FIELD = re.compile(r"телефон|phone|whatsapp|мобильн", re.IGNORECASE)
_EMAIL_FIELD = re.compile(r"e-?mail|эл[.\w]* ?почта|\bпочта\b", re.IGNORECASE)

# Of a person these say where and when he lives or was born; no report needs them.
_DROPPED_TYPES = frozenset({"birthday", "streetaddress", "smart_address"})
# Closed lists and dates: their values were written by the company, not by its customers.
_CLOSED_TYPES = frozenset(
    {"select", "multiselect", "radiobutton", "checkbox", "category", "date", "date_time",
     "monetary", "price"}
)  # fmt: skip
# Note texts have many names; what is not listed here and is text goes.
_NOTE_TEXTS_KEPT = frozenset({"uniq", "source", "service", "file_uuid", "version_uuid", "type"})
# Documented as numbers, and text all the same in some accounts and some months.
_NOTE_NUMBERS = frozenset({"duration", "call_status", "price", "amount"})
_NOTE_CONTACT_POINTS = frozenset({"phone", "from", "to", "email", "cc"})

_LINKS = frozenset({"_links"})
_PERSON_NAMES = frozenset({"first_name", "last_name", "middle_name"})


def rules_for(table: str, *, keep_sales_rep_names: bool) -> PrivacyRules:
    """Return what the keys of one table's records hold.

    Args:
        table: The raw table.
        keep_sales_rep_names: Whether names of users pass.
    """
    rules = _RULES.get(table, _COMMON)
    if table == "users" and not keep_sales_rep_names:
        rules = rules.with_dropped("name")
    return rules


def _drop(_privacy: Privacy) -> Handler:
    return _nothing


def _nothing(_value: Any) -> None:
    return None


def _entries(value: Any) -> Iterable[dict[str, Any]]:
    """Return the objects of what should be a list; PHP numbers the keys of one with a gap."""
    if type(value) is list:
        return value
    if not isinstance(value, dict):
        return ()
    entries = list(value.values())
    return entries if all(isinstance(entry, dict) for entry in entries) else [value]


def _custom_fields(privacy: Privacy) -> Handler:
    """Return the scrubber of `custom_fields_values`; what a field holds is looked up once."""
    actions: dict[Any, Handler | None] = {}

    def scrub(fields: Any) -> Any:
        for entry in _entries(fields):
            field_id = entry.get("field_id")
            try:
                action = actions[field_id]
            except KeyError:
                action = actions[field_id] = _action_of(privacy, entry)
            if action is not None:
                values = entry.get("values")
                for item in _entries(values):
                    value = item.get("value")
                    if value is not None and value != "":
                        item["value"] = action(value)
        return fields

    return scrub


def _action_of(privacy: Privacy, entry: dict[str, Any]) -> Handler | None:
    code = str(entry.get("field_code") or "").upper()
    kind = entry.get("field_type") or ""
    name = entry.get("field_name") or ""
    scrub = privacy.value_scrubber(_COMMON)
    by_code: dict[str, Handler] = {
        "PHONE": _contact_point(privacy),
        "EMAIL": _contact_point(privacy),
    }
    if code in by_code:
        return by_code[code]
    if kind in _DROPPED_TYPES:
        return _nothing
    if kind == "multitext" or code == "IM":
        return _contact_point(privacy)
    if kind == "tracking_data":
        return lambda value: privacy.mask_tag(value) if isinstance(value, str) else value
    if kind in _CLOSED_TYPES:
        return None
    if kind in {"payer", "supplier", "legal_entity", "linked_entity", "org_legal_name"}:
        return _party(privacy)
    if _NAME_FIELD.search(name):
        return _nothing
    if _EMAIL_FIELD.search(name) or _PHONE_FIELD.search(name):
        return _contact_point(privacy)
    return scrub


def _contact_point(privacy: Privacy) -> Handler:
    def scrub(value: Any) -> Any:
        return privacy.hash_contact_point(value) if isinstance(value, str | int) else value

    return scrub


def _party(privacy: Privacy) -> Handler:
    """Return the scrubber of a payer or supplier: a contact's name goes, a firm's stays."""
    scrub_rest = privacy.value_scrubber(_COMMON)

    def scrub(value: Any) -> Any:
        if isinstance(value, dict):
            name = value.get("name")
            if isinstance(name, str):
                is_person = str(value.get("entity_type", "")).startswith("contact")
                value["name"] = None if is_person else privacy.mask_company(name)
            if "address" in value:
                value["address"] = None
        return scrub_rest(value)

    return scrub


def _contacts(privacy: Privacy) -> Handler:
    """Return the scrubber of embedded contacts, which mostly are bare ids."""
    scrub_rest = privacy.value_scrubber(_PLAIN)
    scrub_fields = _custom_fields(privacy)

    def scrub(contacts: Any) -> Any:
        for contact in _entries(contacts):
            if len(contact) > 3 or "name" in contact:
                contact["name"] = None
                fields = contact.pop("custom_fields_values", None)
                scrub_rest(contact)
                if fields is not None:
                    contact["custom_fields_values"] = scrub_fields(fields)
        return contacts

    return scrub


def _companies(privacy: Privacy) -> Handler:
    """Return the scrubber of embedded companies, which mostly are bare ids."""
    scrub_rest = privacy.value_scrubber(_PLAIN)
    scrub_fields = _custom_fields(privacy)

    def scrub(companies: Any) -> Any:
        for company in _entries(companies):
            if len(company) > 2 or "name" in company:
                fields = company.pop("custom_fields_values", None)
                name = company.get("name")
                scrub_rest(company)
                if isinstance(name, str):
                    company["name"] = privacy.mask_company(name)
                if fields is not None:
                    company["custom_fields_values"] = scrub_fields(fields)
        return companies

    return scrub


def _tags(privacy: Privacy) -> Handler:
    def scrub(tags: Any) -> Any:
        for tag in _entries(tags):
            name = tag.get("name")
            if isinstance(name, str):
                tag["name"] = privacy.mask_tag(name)
        return tags

    return scrub


def _company_name(privacy: Privacy) -> Handler:
    return lambda name: privacy.mask_company(name) if isinstance(name, str) else name


def _note_params(privacy: Privacy) -> Handler:
    def scrub(params: Any) -> Any:
        if not isinstance(params, dict):
            return None if isinstance(params, str) else params
        for key, value in params.items():
            if key == "call_responsible":
                # An id of a user, or the name of a person, as the telephony likes.
                params[key] = value if str(value).isdigit() else None
            elif key in _NOTE_CONTACT_POINTS:
                params[key] = _correspondent(privacy, value)
            elif isinstance(value, str):
                is_number = key in _NOTE_NUMBERS and value.isdecimal()
                if value and not is_number and not _is_kept_note_text(key):
                    params[key] = None
            elif isinstance(value, dict):
                params[key] = scrub(value)
            elif isinstance(value, list) and value:
                params[key] = [scrub(item) for item in value]
        return params

    return scrub


def _is_kept_note_text(key: str) -> bool:
    return key in _NOTE_TEXTS_KEPT or key.endswith(("_id", "_code", "_type", "_status"))


def _correspondent(privacy: Privacy, value: Any) -> Any:
    """Return the other side of a message (number, address, name, or an object) without a person."""
    if isinstance(value, dict):
        return {
            key: _correspondent(privacy, item) if key in {"email", "phone"} else None
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_correspondent(privacy, item) for item in value]
    if isinstance(value, bool) or value is None or value == "":
        return value
    return privacy.hash_contact_point(str(value))


def _unsorted_metadata(privacy: Privacy) -> Handler:
    scrub_rest = privacy.value_scrubber(_UNSORTED_METADATA)

    def scrub(metadata: Any) -> Any:
        if isinstance(metadata, dict):
            for key in ("phone", "from", "to", "email"):
                if key in metadata:
                    metadata[key] = _correspondent(privacy, metadata[key])
        return scrub_rest(metadata)

    return scrub


def _task_result(_privacy: Privacy) -> Handler:
    def scrub(result: Any) -> Any:
        if isinstance(result, dict) and "text" in result:
            result["text"] = None
        return result

    return scrub


_UNSORTED_METADATA = PrivacyRules(
    drop=frozenset(
        {"ip", "subject", "content_summary", "text", "last_message_text", "link", "name", "client"}
    ),
    keep=frozenset({"visitor_uid", "form_id", "thread_message_id", "from", "to", "phone", "email"}),
)
_PLAIN = PrivacyRules(
    drop=_PERSON_NAMES,
    phones=frozenset({"phone", "phone_number"}),
    emails=frozenset({"email"}),
    keep=_LINKS,
    special={"tags": _tags},
)
_COMMON = replace(
    _PLAIN,
    # Loss reasons are named by the company.
    keep=_LINKS | {"loss_reason"},
    special={
        "tags": _tags,
        "custom_fields_values": _custom_fields,
        "contacts": _contacts,
        "companies": _companies,
    },
)
_NOTES = PrivacyRules(drop=frozenset({"text"}), keep=_LINKS, special={"params": _note_params})
_RULES: dict[str, PrivacyRules] = {
    # Only the contact's own name, at the top, is a person's; tags below it are the company's.
    "contacts": replace(
        _COMMON,
        special={
            "tags": _tags,
            "custom_fields_values": _custom_fields,
            "companies": _companies,
            "name": _drop,
        },
    ),
    "companies": replace(_COMMON, special={**_COMMON.special, "name": _company_name}),
    # Rights, roles and groups hold names that the company gave, not names of people.
    "users": replace(_PLAIN, keep=_LINKS | {"rights", "_embedded"}),
    "tasks": PrivacyRules(drop=frozenset({"text"}), keep=_LINKS, special={"result": _task_result}),
    "events": PrivacyRules(drop=frozenset({"text"}) | _PERSON_NAMES, keep=_LINKS),
    "lead_notes": _NOTES,
    "contact_notes": _NOTES,
    "company_notes": _NOTES,
    "unsorted": replace(
        _COMMON,
        keep=_COMMON.keep | {"uid", "source_uid"},
        special={**_COMMON.special, "metadata": _unsorted_metadata},
    ),
    "pipelines": PrivacyRules(keep=_LINKS),
    "loss_reasons": PrivacyRules(keep=_LINKS),
}
