"""How numbers, money and dates are written on the page, in Russian and in English.

One style in both languages: thousands stand apart by a narrow no-break space, so a column of sums
reads the same whichever language is on; only the decimal mark and the words differ.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.lib.cards import Format, Locale

NARROW = "\u202f"
NO_BREAK = "\u00a0"
MINUS = "\u2212"
EN_DASH = "–"
WORD_JOINER = "\u2060"
ABSENT = "—"

_SYMBOLS = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£", "KZT": "₸", "BYN": "Br", "UAH": "₴",
            "GEL": "₾", "AMD": "֏", "TRY": "₺", "CNY": "¥", "BRL": "R$"}  # fmt: skip
_BEFORE = frozenset({"$", "€", "£", "R$"})

_MONTHS_RU = ("январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь",
              "октябрь", "ноябрь", "декабрь")  # fmt: skip
_MONTHS_RU_OF = ("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа",
                 "сентября", "октября", "ноября", "декабря")  # fmt: skip
_MONTHS_RU_SHORT = ("янв", "фев", "мар", "апр", "май", "июн", "июл", "авг", "сен", "окт", "ноя",
                    "дек")  # fmt: skip
_MONTHS_EN = ("January", "February", "March", "April", "May", "June", "July", "August",
              "September", "October", "November", "December")  # fmt: skip

_MINUTE = Decimal(60)
_HOUR = Decimal(3600)
_DAY = Decimal(86400)


@dataclass(frozen=True)
class Writer:
    """Writes values in one language.

    Attributes:
        locale: The language.
        currency: ISO code of the reporting currency; None writes sums without a sign.
        zone: Zone in which moments are shown.
        year: The year that goes without saying.
    """

    locale: Locale
    currency: str | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    year: int | None = None

    def in_(self, locale: Locale) -> Writer:
        """Return the same writer in another language."""
        return replace(self, locale=locale)

    def number(self, value: Any, decimals: int = 0) -> str:
        """Return `value` with thousands apart and `decimals` digits after the mark."""
        exact = _decimal(value)
        rounded = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
        sign = MINUS if rounded < 0 else ""
        whole, _, fraction = f"{abs(rounded):f}".partition(".")
        grouped = f"{int(whole):,}".replace(",", NARROW)
        mark = "," if self.locale == "ru" else "."
        return f"{sign}{grouped}{mark + fraction if fraction else ''}"

    def money(self, value: Any, *, compact: bool = False) -> str:
        """Return a sum in whole units of the currency; `compact` shortens ten millions and more."""
        exact = _decimal(value)
        if compact and abs(exact) >= 10_000_000:
            return self._signed(self._compact(exact))
        decimals = 2 if 0 < abs(exact) < 10 and exact != exact.to_integral_value() else 0
        return self._signed(self.number(exact, decimals))

    def _compact(self, exact: Decimal) -> str:
        billions = abs(exact) >= 1_000_000_000
        size = exact / (1_000_000_000 if billions else 1_000_000)
        if self.locale == "ru":
            word = "млрд" if billions else "млн"
            return f"{self.number(size, 1)}{NO_BREAK}{word}"
        return f"{self.number(size, 1)}{'B' if billions else 'M'}"

    def _signed(self, text: str) -> str:
        if self.currency is None:
            return text
        symbol = _SYMBOLS.get(self.currency, self.currency)
        if self.locale == "en" and symbol in _BEFORE:
            return f"{MINUS}{symbol}{text[1:]}" if text.startswith(MINUS) else f"{symbol}{text}"
        return f"{text}{NARROW}{symbol}"

    def ratio(self, value: Any) -> str:
        """Return a share of 0..1 in per cent, one decimal."""
        exact = _decimal(value) * 100
        decimals = 0 if exact in {0, 100} or abs(exact) >= 1000 else 1
        space = NARROW if self.locale == "ru" else ""
        return f"{self.number(exact, decimals)}{space}%"

    def change(self, ratio: Any) -> str:
        """Return the size of a relative change; small ones keep a decimal, the others do not."""
        exact = abs(_decimal(ratio)) * 100
        space = NARROW if self.locale == "ru" else ""
        return f"{self.number(exact, 1 if exact < Decimal('9.5') else 0)}{space}%"

    def change_by(self, ratio: Any) -> str:
        """Return a change as it is said in a sentence: "на 12 %", "в 3,5 раза"."""
        exact = _decimal(ratio)
        if self.locale == "en":
            return self.change(ratio)
        if exact >= 2:
            times = (exact + 1).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
            whole = times == times.to_integral_value()
            word = self.plural(int(times), "раз", "раза", "раз") if whole else "раза"
            return f"в{NO_BREAK}{self.number(times, 0 if whole else 1)}{NO_BREAK}{word}"
        return f"на{NO_BREAK}{self.change(ratio)}"

    def days(self, value: Any) -> str:
        """Return a number of days with its word."""
        exact = _decimal(value)
        if exact == exact.to_integral_value():
            count = int(exact)
            return f"{self.number(count)}{NO_BREAK}{self.plural(count, *self._day_words())}"
        word = "дня" if self.locale == "ru" else "days"
        return f"{self.number(exact, 1)}{NO_BREAK}{word}"

    def _day_words(self) -> tuple[str, ...]:
        return ("день", "дня", "дней") if self.locale == "ru" else ("day", "days")

    def duration(self, seconds: Any) -> str:
        """Return a stretch of time in the unit a person would use."""
        exact = _decimal(seconds)
        ru = self.locale == "ru"
        if exact >= _DAY:
            size = exact / _DAY
            return self.days(size.quantize(Decimal(1) if size >= 10 else Decimal("0.1"),
                                           rounding=ROUND_HALF_UP).normalize())  # fmt: skip
        if exact >= _HOUR:
            return f"{self.number(exact / _HOUR, 1)}{NO_BREAK}{'ч' if ru else 'h'}"
        if exact >= _MINUTE:
            return f"{self.number(exact / _MINUTE)}{NO_BREAK}{'мин' if ru else 'min'}"
        return f"{self.number(exact)}{NO_BREAK}{'с' if ru else 's'}"

    def date(self, value: Any) -> str:
        """Return a day: "16 ноября", with the year if it is not the current one."""
        day = self._day(value)
        return f"{day.day}{NO_BREAK}{self._month_of(day)}{self._year(day)}"

    def moment(self, value: Any) -> str:
        """Return a moment in the company's zone: "16 ноября, 23:40"."""
        local = self._local(value)
        zone = " UTC" if self.zone.key == "UTC" else ""
        return f"{self.date(local.date())}, {local:%H:%M}{zone}"

    def week(self, value: Any) -> str:
        """Return the week that starts on `value`: "10–16 ноября"."""
        first = self._day(value)
        last = first + dt.timedelta(days=6)
        if first.month == last.month:
            start = str(first.day)
            return f"{start}{EN_DASH}{self.date(last)}"
        start = f"{first.day}{NO_BREAK}{self._month_of(first)}"
        if first.year != last.year and not self._year(last):
            start += f" {first.year}"
        return f"{start} {EN_DASH} {self.date(last)}"

    def month(self, value: Any) -> str:
        """Return the month of `value`: "ноябрь 2026"."""
        day = self._day(value)
        name = (_MONTHS_RU if self.locale == "ru" else _MONTHS_EN)[day.month - 1]
        return f"{name} {day.year}"

    def tick(self, value: Any, kind: Format) -> str:
        """Return the shortest name of a moment, for under a chart."""
        day = self._day(value)
        short = (
            _MONTHS_RU_SHORT[day.month - 1]
            if self.locale == "ru"
            else (_MONTHS_EN[day.month - 1][:3])
        )
        if kind == "month":
            return short if day.month != 1 else f"{short} {day.year}"
        return f"{day.day}{NO_BREAK}{short}"

    def plural(self, value: Any, *forms: str) -> str:
        """Return the form of a noun after a number: one, few, many (Russian) or one, other."""
        exact = _decimal(value)
        if exact != exact.to_integral_value():
            return forms[min(1, len(forms) - 1)]
        count = abs(int(exact))
        if self.locale == "en":
            return forms[0] if count == 1 else forms[-1]
        if count % 10 == 1 and count % 100 != 11:
            return forms[0]
        if 2 <= count % 10 <= 4 and not 12 <= count % 100 <= 14:
            return forms[min(1, len(forms) - 1)]
        return forms[-1]

    def value(self, value: Any, kind: Format, *, beside: str | None = None,
              compact: bool = False) -> str:  # fmt: skip
        """Return any value in its format; a dash where there is none.

        Args:
            value: What stands in the column.
            kind: The format of the column.
            beside: The row's `period_type` for format period, its `unit` for format unit.
            compact: Shortens sums of ten millions and more.

        Returns:
            The text.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ABSENT
        match kind:
            case "integer":
                return self.number(value)
            case "decimal":
                return self.number(value, 1)
            case "money":
                return self.money(value, compact=compact)
            case "ratio":
                return self.ratio(value)
            case "days":
                return self.days(value)
            case "duration":
                return self.duration(value)
            case "date":
                return self.date(value)
            case "datetime":
                return self.moment(value)
            case "week":
                return self.week(value)
            case "month":
                return self.month(value)
            case "period":
                return self.month(value) if beside == "month" else self.week(value)
            case "unit":
                return self._in_unit(value, beside)
            case _:
                return str(value)

    def _in_unit(self, value: Any, unit: str | None) -> str:
        match unit:
            case "ratio":
                return self.ratio(value)
            case "hours":
                return self.duration(_decimal(value) * _HOUR)
            case "amount":
                return self.money(value)
            case _:
                exact = _decimal(value)
                return self.number(exact, 0 if exact == exact.to_integral_value() else 1)

    def _day(self, value: Any) -> dt.date:
        if isinstance(value, dt.datetime):
            return self._local(value).date()
        assert isinstance(value, dt.date), f"{value!r} is not a date"
        return value

    def _local(self, value: Any) -> dt.datetime:
        assert isinstance(value, dt.datetime), f"{value!r} is not a moment"
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return moment.astimezone(self.zone)

    def _month_of(self, day: dt.date) -> str:
        return (_MONTHS_RU_OF if self.locale == "ru" else _MONTHS_EN)[day.month - 1]

    def _year(self, day: dt.date) -> str:
        return "" if self.year is None or day.year == self.year else f" {day.year}"


# "9–15": a browser would break the line after the dash.
_SPAN = re.compile(rf"(?<=\d){EN_DASH}(?=\d)")
_LOOSE = re.compile(
    r"(?<![\w\u00a0])(а|в|во|до|за|и|из|к|на|не|ни|но|о|об|от|по|с|со|у|a|an|of|the|to) ",
    re.IGNORECASE,
)


def tied(text: str) -> str:
    """Return `text` with short words and dashes tied to their neighbour, as a typesetter would."""
    whole = _SPAN.sub(f"{WORD_JOINER}{EN_DASH}{WORD_JOINER}", text)
    return _LOOSE.sub(rf"\1{NO_BREAK}", whole).replace(" — ", f"{NO_BREAK}— ")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        # Through text: 0.1 is one tenth for the reader, not 0.1000000000000000055.
        return Decimal(repr(value))
    return Decimal(value)
