"""What leaves personal data before a record lands.

Phones and e-mail addresses become keyed hashes wherever they stand, so that the same person can
still be recognised; names and message texts are dropped. The key never leaves the home folder:
without it a hash of eleven digits could be turned back by trying all of them.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import phonenumbers

from ingest.config import Home, Settings
from ingest.errors import ConfigurationError, StorageError

_KEY_BYTES = 32
_DIGEST_BYTES = 16
_REGION = "RU"
_CACHED = 200_000
_FEWEST_PHONE_DIGITS = 7
_SUBSCRIBER_DIGITS = 10

# Mailboxes of a role and not of a person: two companies' contacts at info@ are not one person.
_FUNCTIONAL = frozenset(
    re.findall(
        r"[\w-]+",
        """
        info sales sale office mail contact contacts support help hello admin administrator
        billing buh buhgalter accounting finance hr job jobs kadry reception secretary zakaz order
        orders shop store service marketing pr press manager managers director tender zakupki
        snab noreply no-reply webmaster postmaster abuse client clients team welcome inbox corp
        """,
    )
)

_EMAIL = re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+")
# An address alone in its field, with any sign a mailbox may have; in a text it would take too much.
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'«»@][^\s<>()\[\],;:\"«»@]*@[\w\-]+(?:\.[\w\-]+)+")
# A run of digits and the separators people write between them, not glued to an id in Latin signs.
# It has no length: one that ended in the middle of a second number would hide half of that.
_PHONE_RUN = re.compile(
    r"(?:(?<![0-9A-Za-z_@])|(?<=%2[Bb0]))"
    r"\+?\(?\d[\d\s().\-\u00a0\u2010-\u2015]{5,}\d"
    r"(?![0-9A-Za-z_@])"
)
_GAP = r"[\s().\-\u00a0\u2010-\u2015]{0,3}"
# Phones that are whole inside a run, beside a date, a count, an order's number or another phone.
_WHOLE_PHONE = re.compile(
    r"(?<!\d)("
    r"(?:\+?7|8)\d{10}|9\d{9}"
    # In groups. Digits glued across the groups are a number of their own, with a date behind it,
    # and codes begin with no 0, 1, 2 or 5: those are prices.
    r"|(?:\+7|(?!\d{5,10}(?:[\s.]|-\d{3}))[78])GAP[346-9]\d{2}GAP"
    r"(?:\d{3}GAP\d{2}GAP\d{2}|\d{2}GAP\d{2}GAP\d{3}|\d{2}GAP\d{3}GAP\d{2})(?!\.\d)"
    r"|(?:\+?7|8)GAP(?:\(\d{4}\)GAP\d|\(\d{5}\)GAP)\d(?:GAP\d{2}){2}"
    # Without the 8 before them.
    r"|\(\d{3}\)GAP\d{3}GAP\d{2}GAP\d{2}"
    r"|[3489]\d{2}[\s\-]\d{3}[\s\-]\d{2}[\s\-]\d{2}(?!\.\d)"
    r"|(?<!\S)\d{3}-\d{2}-\d{2}(?!\S)"
    # Of other countries.
    r"|\+(?:37[3-5]|380|99[2-68])(?:GAP\d){8,9}"
    r"|\+\d(?:[\s().\-\u00a0\u2010-\u2015]*\d){7,14}"
    r")(?!\d)".replace("GAP", _GAP)
)
# Cheap first look: most texts hold no two digits so far apart.
_FAR_DIGITS = re.compile(r"\d[^A-Za-z]{5,}?\d")
_DIGITS = re.compile(r"\d+")
_SEPARATED = re.compile(r"\d[\s().\-\u00a0\u2010-\u2015]+\d")
_DATE = re.compile(r"(?:\d{4}[.\-]\d{1,2}[.\-]\d{1,2}|\d{1,2}[.\-]\d{1,2}[.\-]\d{2,4})(?:\s.*)?")
_CITY_NUMBER = re.compile(r"\d{3}-\d{2}-\d{2}")
_NEIGHBOURS = ("373", "374", "375", "380", "992", "993", "994", "995", "996", "998")
# Names of clicks: they tie a visit to a deal, and no phone has so many digits.
_CLICK_IDS = frozenset({"yclid", "ysclid", "ymclid", "gclid", "gbraid", "wbraid", "fbclid",
"rb_clickid"})  # fmt: skip
_MARKS = r"[\s().\-+\u00a0\u2010-\u2015]"
# Cheap first look, also at what is packed as %40 or %2520: most addresses hold neither.
_SUSPECT = re.compile(rf"@|%(?:25)*40|\d(?:\d|{_MARKS}|%(?:25)*[0-9A-Fa-f]{{2}}){{5,}}?\d")
_WORD = re.compile(r"\S+")
_PARTS = re.compile(r"([&;?#])")
_PACKED_SPACE = re.compile(r"(?<=[\d)])\+(?=[\d(])")
_LAYERS = 3
_CACHED_PIECES = 50_000
_SOLE_TRADER = re.compile(
    r"^\s*(ип|индивидуальный предприниматель)\b[\s\"«:.\-]*\w.*", re.IGNORECASE | re.DOTALL
)


Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class PrivacyRules:
    """What the keys of one vendor's records hold; every other text is searched and masked.

    Rules go by key name at any depth, because vendors move objects around and a rule by path would
    silently miss the new place. A `special` entry makes, for one privacy key, the function that
    turns the key's value into what may land.
    """

    drop: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    contact_points: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    special: Mapping[str, Callable[["Privacy"], Handler]] = field(default_factory=dict)

    def with_dropped(self, *keys: str) -> "PrivacyRules":
        """Return the same rules with more keys dropped.

        Args:
            keys: Names of keys.
        """
        return replace(self, drop=self.drop | set(keys))


class Privacy:
    """The hashing key of one home folder and what is done with it."""

    def __init__(self, settings: Settings) -> None:
        """Read the key, or make it on first use.

        Args:
            settings: Where the home is, and whether personal data is kept.

        Raises:
            ConfigurationError: The key and its backup differ, or the key is gone or open to
                others.
        """
        self.keeps = settings.personal_data == "keep"
        self._key = b"" if self.keeps else load_key(settings.home)
        self._phone = lru_cache(_CACHED)(self._hash_phone)
        self._tag = lru_cache(_CACHED)(lambda text: self.mask_text(text, only_plain=True))
        self._email = lru_cache(_CACHED)(self._hash_email)
        # Marks and pages come again and again, only the names of clicks do not.
        self._piece = lru_cache(_CACHED_PIECES)(self._mask_piece)

    def scrubber(self, rules: PrivacyRules) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        """Return a function that scrubs records in place, or None where personal data is kept.

        Args:
            rules: What the vendor's keys hold.
        """
        if self.keeps:
            return None
        scrub_value = self.value_scrubber(rules)

        def scrub(record: dict[str, Any]) -> dict[str, Any]:
            scrub_value(record)
            return record

        return scrub

    def value_scrubber(self, rules: PrivacyRules) -> Handler:
        """Return a function that scrubs any parsed JSON; objects and lists change in place.

        It runs once per record of a backfill: one look-up per key, and nothing for numbers.

        Args:
            rules: What the vendor's keys hold.
        """
        if self.keeps:
            return lambda value: value
        handlers: dict[str, Handler] = {}
        handlers.update(dict.fromkeys(rules.phones, self._phone_value))
        handlers.update(dict.fromkeys(rules.emails, self._email_value))
        handlers.update(dict.fromkeys(rules.contact_points, self._contact_point_value))
        handlers.update({key: make(self) for key, make in rules.special.items()})
        handlers.update(dict.fromkeys(rules.keep, _unchanged))
        handlers.update(dict.fromkeys(rules.drop, _nothing))
        handler_of = handlers.get
        mask = self.mask_text

        def scrub_object(node: dict[str, Any]) -> None:
            for key, value in node.items():
                if value is None:
                    continue
                handler = handler_of(key)
                if handler is not None:
                    if handler is not _unchanged:
                        node[key] = handler(value)
                    continue
                kind = type(value)
                if kind is str:
                    if len(value) > 5:
                        node[key] = mask(value)
                elif kind is dict:
                    scrub_object(value)
                elif kind is list and value:
                    scrub_list(value)

        def scrub_list(items: list[Any]) -> None:
            for index, item in enumerate(items):
                kind = type(item)
                if kind is dict:
                    scrub_object(item)
                elif kind is list:
                    scrub_list(item)
                elif kind is str:
                    items[index] = mask(item)

        def scrub_value(value: Any) -> Any:
            kind = type(value)
            if kind is dict:
                scrub_object(value)
            elif kind is list:
                scrub_list(value)
            elif kind is str:
                return mask(value)
            return value

        return scrub_value

    def scrub(self, value: Any, rules: PrivacyRules) -> Any:
        """Return parsed JSON without personal data; objects and lists are changed in place.

        Args:
            value: Parsed JSON.
            rules: What the vendor's keys hold.
        """
        return self.value_scrubber(rules)(value)

    def hash_phone(self, phone: str | int) -> str:
        """Return the token of a phone number, the same for every way of writing it.

        Args:
            phone: As the source has it.
        """
        text = str(phone)
        return text if self.keeps or text.startswith("ph_") else self._phone(text)

    def hash_email(self, email: str) -> str:
        """Return the token of a mail address with its kind and domain.

        Args:
            email: As the source has it.
        """
        return email if self.keeps or email.startswith("em_") else self._email(email)

    def hash_contact_point(self, value: str | int) -> str | None:
        """Return the token of something that is a mail address, a phone, or an @handle.

        Anything else is what people write where they know none, "no", "+7" or "0000000000", and
        would make strangers one person: None.

        Args:
            value: As the source has it.
        """
        text = str(value)
        if self.keeps or not text or text.startswith(("ph_", "em_")):
            return text
        if "@" not in text:
            return self._phone(text) if is_phone(text) else None
        if _ADDRESS.search(text):
            return self._email(text)
        return self._phone(text) if any(sign.isalnum() for sign in text) else None

    def mask_text(self, text: str, *, only_plain: bool = False) -> str:
        """Return a text in which phones and mail addresses are replaced by their tokens.

        Args:
            text: Any text; addresses of pages in it are searched like `mask_url` does.
            only_plain: Take digits without a separator for an id, not for a phone (advertising
                tags).
        """
        if self.keeps or len(text) < 6:
            return text
        if "%" not in text and "://" not in text:
            return self._mask_contacts(text, only_plain)
        pieces: list[str] = []
        end = 0
        for found in _WORD.finditer(text):
            word = found.group()
            is_address = "://" in word
            if is_address or "%" in word:
                pieces.append(self._mask_contacts(text[end : found.start()], only_plain))
                # What an address holds is no tag, even if the address stands in one.
                pieces.append(self._mask_packed(word, only_plain and not is_address))
                end = found.end()
        pieces.append(self._mask_contacts(text[end:], only_plain))
        return "".join(pieces)

    def mask_url(self, url: str) -> str:
        """Return the address of a page without phones and mail addresses.

        They stand in paths, in values, in addresses inside values; plain or packed, even twice.
        What holds none comes back as it was, sign by sign.

        Args:
            url: As the source has it.
        """
        return url if self.keeps else self._mask_packed(url, only_plain=False)

    def mask_tag(self, text: str) -> str:
        """Return an advertising tag without phones and addresses; the same few come again.

        Args:
            text: A tag's value.
        """
        # An id or a word holds no phone; most tags are one, and each visitor has another.
        return text if text.isalnum() or self.keeps else self._tag(text)

    def mask_company(self, name: str) -> str:
        """Return a company's name; of a sole trader, whose firm is a person's name, the form only.

        Args:
            name: As the source has it.
        """
        if self.keeps:
            return name
        sole = _SOLE_TRADER.match(name)
        return "ИП" if sole else self.mask_text(name)

    def _mask_contacts(self, text: str, only_plain: bool) -> str:
        if "@" in text:
            text = _EMAIL.sub(lambda found: self._email(found.group()), text)
        if _FAR_DIGITS.search(text) is None:
            return text
        return _PHONE_RUN.sub(lambda found: self._mask_run(found.group(), only_plain), text)

    def _mask_packed(self, text: str, only_plain: bool) -> str:
        if _SUSPECT.search(text) is None:
            return text
        return "".join([self._piece(piece, only_plain) for piece in _PARTS.split(text)])

    def _mask_piece(self, piece: str, only_plain: bool) -> str:
        if _SUSPECT.search(piece) is None:
            return piece
        name, equals, value = piece.partition("=")
        if not equals:
            return "/".join([self._mask_value(step, only_plain) for step in piece.split("/")])
        if name.lower() in _CLICK_IDS:
            return piece
        is_tag = only_plain or name.lower().startswith("utm_")
        return f"{self._mask_value(name, only_plain)}={self._mask_value(value, is_tag)}"

    def _mask_value(self, value: str, only_plain: bool) -> str:
        text = value
        for _ in range(_LAYERS):
            # Between digits a "+" is a packed space, before them it begins the number.
            for candidate in (_PACKED_SPACE.sub(" ", text), text):
                masked = self._mask_contacts(candidate, only_plain)
                if masked == candidate:
                    continue
                is_plain = candidate == value
                return masked if is_plain else quote(masked, safe=":/@ ").replace(" ", "+")
            unpacked = unquote(text)
            if unpacked == text:
                break
            text = unpacked
        return value

    def _mask_run(self, run: str, only_plain: bool) -> str:
        if run.isdigit() and only_plain:
            return run
        if not only_plain and _reads_as_phone(run):
            return self._phone(run)
        # Every second part is what the expression found.
        parts = _WHOLE_PHONE.split(run)
        for place, part in enumerate(parts):
            if place % 2:
                parts[place] = part if only_plain and part.isdigit() else self._phone(part)
            elif not only_plain and _reads_as_phone(part):
                rest = part.strip()
                parts[place] = part.replace(rest, self._phone(rest))
        return "".join(parts)

    def _phone_value(self, value: Any) -> Any:
        # A phone written as a number is still a phone.
        is_text = isinstance(value, str | int) and not isinstance(value, bool)
        return self.hash_phone(value) if is_text and value != "" else value

    def _email_value(self, value: Any) -> Any:
        return self.hash_contact_point(value) if isinstance(value, str) and value else value

    def _contact_point_value(self, value: Any) -> Any:
        is_text = isinstance(value, str | int) and not isinstance(value, bool)
        return self.hash_contact_point(value) if is_text else value

    def _digest(self, text: str) -> str:
        return blake2b(text.encode(), digest_size=_DIGEST_BYTES, key=self._key).hexdigest()

    def _hash_phone(self, phone: str) -> str:
        return f"ph_{self._digest(normal_phone(phone))}"

    def _hash_email(self, email: str) -> str:
        found = _ADDRESS.search(email)
        address = (found.group() if found else email.strip().strip("<>")).lower()
        mailbox, _, domain = address.rpartition("@")
        if not mailbox:
            return f"em_{self._digest(address)}:p:"
        kind = "f" if mailbox.split("+")[0] in _FUNCTIONAL else "p"
        safe_domain = domain if re.fullmatch(r"[\w.\-]+", domain) else ""
        return f"em_{self._digest(address)}:{kind}:{safe_domain}"


def _reads_as_phone(run: str) -> bool:
    """Say whether all digits of a run together are one phone number."""
    digits = "".join(_DIGITS.findall(run))
    count = len(digits)
    if count > 15 or count < 7 or _DATE.fullmatch(run.strip()):
        return False
    if run.startswith("+") and count >= 8:
        # A Russian number has eleven digits; what is longer holds another number too.
        return count <= 11 or digits[0] != "7"
    return (
        (count == 11 and digits[0] in "78")
        or (count == 10 and (digits[0] == "9" or _SEPARATED.search(run) is not None))
        or (count == 12 and digits.startswith(_NEIGHBOURS))
        or _CITY_NUMBER.fullmatch(run) is not None
    )


def _unchanged(value: Any) -> Any:
    return value


def _nothing(_value: Any) -> None:
    return None


def normal_phone(phone: str, region: str = _REGION) -> str:
    """Return a phone number in E.164, or its bare signs where it is none.

    Args:
        phone: As somebody wrote it.
        region: Country of numbers without a country code.
    """
    text = phone.strip()
    digits = "".join(_DIGITS.findall(text))
    # The common ways of writing Russian numbers, 50 times faster than the full parser.
    if len(digits) == 11 and digits[0] in "78" and (digits[0] == "7" or text[:1] != "+"):
        return f"+7{digits[1:]}"
    if len(digits) == 10 and digits[0] == "9" and text[:1] != "+":
        return f"+7{digits}"
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_possible_number(parsed):
        # Of two numbers in one field the first counts.
        first = _WHOLE_PHONE.search(text)
        if first is not None and first.group() != text:
            return normal_phone(first.group(), region)
        return digits or text.lower()
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def is_phone(text: str) -> bool:
    """Say whether a field's text can be a phone: `no`, `ext. 12` and `0000000000` are none.

    Args:
        text: As somebody wrote it.
    """
    digits = "".join(_DIGITS.findall(text))
    return len(digits) >= _FEWEST_PHONE_DIGITS and len(set(digits[-_SUBSCRIBER_DIGITS:])) > 1


def load_key(home: Home) -> bytes:
    """Return the key of a home folder; on first use make it and its backup.

    Args:
        home: The home folder.

    Raises:
        ConfigurationError: The key is lost, damaged, changed, or readable by others.
        StorageError: It cannot be read or written.
    """
    main, backup = home.privacy_key, home.privacy_key_backup
    try:
        if not main.exists() and not backup.exists():
            if home.warehouse.exists() and _was_used(home):
                raise ConfigurationError(
                    f"the privacy key {main} and its backup are gone",
                    action="Restore the key: with another one known persons would look new",
                )
            text = os.urandom(_KEY_BYTES).hex()
            _write_private(main, text)
            _write_private(backup, text)
            _write_private(_mark(home), _fingerprint(bytes.fromhex(text)))
            return bytes.fromhex(text)
        if not main.exists():
            raise ConfigurationError(
                f"the privacy key {main} is gone", action=f"Copy {backup.name} back to {main.name}"
            )
        key = _parsed(main)
        if not backup.exists():
            _write_private(backup, key.hex())
        if _parsed(backup) != key:
            raise ConfigurationError(
                f"the privacy key {main} differs from its backup",
                action="Put the first one back: with another key known persons would look new",
            )
        if not _mark(home).exists():
            _write_private(_mark(home), _fingerprint(key))
        elif _mark(home).read_text(encoding="ascii").strip() != _fingerprint(key):
            raise ConfigurationError(
                f"the privacy key {main} was changed after it had been used",
                action="Put the first one back, or start a new home folder",
            )
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"the privacy key {main} cannot be used ({error})",
            action="Check the rights of the keys folder",
        ) from None
    if main.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"the privacy key {main} is readable by others", action=f"Run chmod 600 {main}"
        )
    return key


def key_fingerprint(home: Home) -> str | None:
    """Return eight bytes by which two keys can be told apart, or None before first use.

    Args:
        home: The home folder.

    Raises:
        ConfigurationError: The key is damaged or changed.
    """
    if not home.privacy_key.exists() and not home.privacy_key_backup.exists():
        return None
    return _fingerprint(load_key(home))


def _fingerprint(key: bytes) -> str:
    return blake2b(b"voronka privacy key", digest_size=8, key=key).hexdigest()


def _mark(home: Home) -> Path:
    return home.privacy_key.with_name("privacy.fingerprint")


def _was_used(home: Home) -> bool:
    return _mark(home).exists()


def _parsed(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            f"the privacy key {path} is damaged", action="Restore it from the other copy"
        )
    return key


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
