"""Who works in the firm and who asks it: names, phones as people write them, mail boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import Column, compute
from ingest.demo.randomness import Flags, Ints, choose, take_text

FEMALE = (
    "Анна", "Мария", "Елена", "Ольга", "Наталья", "Екатерина", "Татьяна", "Ирина", "Светлана",
    "Юлия",
    "Ксения", "Дарья", "Алина", "Вера", "Полина", "Людмила", "Марина", "Оксана", "Яна", "Галина",
)  # fmt: skip
MALE = (
    "Александр", "Дмитрий", "Сергей", "Андрей", "Алексей", "Максим", "Евгений", "Иван",
    "Михаил", "Артём",
    "Николай", "Павел", "Роман", "Владимир", "Игорь", "Олег", "Денис", "Виктор", "Юрий", "Кирилл",
)  # fmt: skip
SURNAMES = (
    "Смирнов", "Кузнецов", "Соколов", "Лебедев", "Морозов", "Новиков", "Воробьёв", "Зайцев",
    "Тихонов",
    "Виноградов", "Богданов", "Фёдоров", "Михайлов", "Беляев", "Тарасов", "Комаров",
    "Киселёв", "Макаров",
    "Андреев", "Ковалёв", "Ильин", "Гусев", "Титов", "Кудрявцев", "Баранов", "Куликов", "Степанов",
    "Яковлев", "Сорокин", "Сергеев", "Романов", "Захаров", "Борисов", "Королёв", "Герасимов",
    "Пономарёв",
    "Григорьев", "Лазарев", "Медведев", "Ершов", "Никитин", "Рябов", "Поляков", "Цветков",
    "Жуков", "Фролов",
    "Журавлёв", "Николаев", "Максимов", "Сидоров", "Осипов", "Белоусов", "Федотов",
    "Дорофеев", "Матвеев",
    "Бобров", "Дмитриев", "Калинин", "Анисимов", "Петухов", "Тимофеев", "Щербаков", "Логинов",
    "Горбунов",
)  # fmt: skip
LATIN_FEMALE = (
    "anna", "maria", "elena", "olga", "natalia", "katya", "tatiana", "irina", "sveta", "julia",
    "ksenia", "darya", "alina", "vera", "polina", "luda", "marina", "oksana", "yana", "galina",
)  # fmt: skip
LATIN_MALE = (
    "alex", "dmitry", "sergey", "andrey", "aleksey", "max", "evgeny", "ivan", "mikhail", "artem",
    "nikolay", "pavel", "roman", "vladimir", "igor", "oleg", "denis", "victor", "yury", "kirill",
)  # fmt: skip
# RFC 2606 names: nobody's real mail box can be hit.
MAIL_DOMAINS = ("mail.example", "pochta.example", "inbox.example", "post.example")
MAIL_WEIGHTS = (0.45, 0.28, 0.17, 0.10)
OPERATORS = (
    "903",
    "905",
    "909",
    "915",
    "916",
    "917",
    "925",
    "926",
    "929",
    "963",
    "965",
    "977",
    "985",
    "999",
)

COMPANY_WORDS = (
    "Интерьер",
    "Ремонт",
    "Строй",
    "Дом",
    "Дизайн",
    "Квартал",
    "Проект",
    "Уют",
    "Этаж",
    "Стандарт",
)
COMPANY_ENDINGS = ("Групп", "Сервис", "Плюс", "Студия", "Инвест", "Центр", "Мастер", "Лайн")

# Written by people: +7 (916) 123-45-67, 89161234567, +79161234567, 8 916 123 45 67, 7 916 1234567.
PHONE_FORM_WEIGHTS = (0.34, 0.25, 0.21, 0.14, 0.06)


@dataclass(frozen=True)
class Rep:
    """A sales rep: a seat in a team, taken from one moment until another (Unix seconds)."""

    user_id: int
    slot: int
    name: str
    email: str
    team: tuple[int, str]
    starts_at: int
    leaves_at: int


def subscriber_numbers(rng: np.random.Generator, count: int) -> Ints:
    """Return distinct 10-digit mobile numbers without the country code."""
    prefix = np.array([int(code) for code in OPERATORS], dtype=np.int64)
    tail = (
        np.arange(count, dtype=np.int64) * 6_364_137 + int(rng.integers(10_000_000))
    ) % 10_000_000
    return prefix[choose(rng, np.ones(len(prefix)), count)] * 10_000_000 + tail


def written_phones(numbers: Ints, forms: Ints) -> Column:
    """Return phone numbers in the way each person writes them."""
    digits = compute.cast(pa.array(numbers), pa.string())

    def part(start: int, stop: int) -> Column:
        return compute.utf8_slice_codeunits(digits, start, stop)

    code, three, two, last = part(0, 3), part(3, 6), part(6, 8), part(8, 10)

    def join(*pieces: Column | str) -> Column:
        return compute.binary_join_element_wise(
            *(pa.scalar(p) if isinstance(p, str) else p for p in pieces), ""
        )

    styles = (
        join("+7 (", code, ") ", three, "-", two, "-", last),
        join("8", digits),
        join("+7", digits),
        join("8 ", code, " ", three, " ", two, " ", last),
        join("7 ", code, " ", three, two, last),
    )
    return compute.choose(pa.array(forms), *styles)


def names(rng: np.random.Generator, count: int) -> tuple[Column, Column, Column, Flags]:
    """Return first and last names, mail boxes, and who tells the box.

    A quarter has no surname, a third tells no box.
    """
    female = rng.random(count) < 0.62
    first_index = choose(rng, np.linspace(1.6, 0.6, len(FEMALE)), count)
    surname_index = choose(rng, np.linspace(1.5, 0.5, len(SURNAMES)), count)
    first = take_text((*FEMALE, *MALE), np.where(female, first_index, first_index + len(FEMALE)))
    surnames = (*SURNAMES, *(f"{surname}а" for surname in SURNAMES))
    has_surname = rng.random(count) < 0.75
    surname = take_text(surnames, np.where(has_surname, surname_index + female * len(SURNAMES), -1))
    latin = take_text(
        (*LATIN_FEMALE, *LATIN_MALE), np.where(female, first_index, first_index + len(FEMALE))
    )
    domain = take_text(MAIL_DOMAINS, choose(rng, MAIL_WEIGHTS, count))
    number = compute.cast(pa.array(rng.integers(1000, 100_000_000, count)), pa.string())
    box = compute.binary_join_element_wise(
        latin, pa.scalar("."), number, pa.scalar("@"), domain, ""
    )
    return first, surname, box, rng.random(count) < 0.66


def company_names(rng: np.random.Generator, count: int) -> Column:
    """Return names of legal entities."""
    word = take_text(COMPANY_WORDS, choose(rng, np.ones(len(COMPANY_WORDS)), count))
    ending = take_text(COMPANY_ENDINGS, choose(rng, np.ones(len(COMPANY_ENDINGS)), count))
    number = compute.cast(pa.array(1 + np.arange(count)), pa.string())
    return compute.binary_join_element_wise(
        pa.scalar("ООО «"), word, ending, pa.scalar("-"), number, pa.scalar("»"), ""
    )


def reps(rng: np.random.Generator, start: int, end: int) -> list[Rep]:
    """Return the sales reps of both teams, in the order of their seats."""
    found: list[Rep] = []
    slots = story.REPS_PER_TEAM * len(story.TEAMS)
    changeover = max(start, end - story.LEAVER_MONTHS_BEFORE_END * 30 * 86_400)
    surnames = rng.permutation(len(SURNAMES))
    first_names = rng.permutation(len(FEMALE))
    far = end + 10 * 365 * 86_400
    for slot in range(slots):
        spans = [(0, far)] if slot != story.LEAVER_SLOT else [(0, changeover), (changeover, far)]
        for starts_at, leaves_at in spans:
            number = len(found)
            is_female = number % 2 == 0
            first = int(first_names[number % len(FEMALE)])
            surname = SURNAMES[int(surnames[number])] + ("а" if is_female else "")
            latin = (LATIN_FEMALE if is_female else LATIN_MALE)[first]
            found.append(
                Rep(
                    user_id=story.CURRENT_USER_ID + 10 + number,
                    slot=slot,
                    name=f"{(FEMALE if is_female else MALE)[first]} {surname}",
                    email=f"{latin}.{number}@dubrava.example",
                    team=story.TEAMS[slot // story.REPS_PER_TEAM],
                    starts_at=starts_at,
                    leaves_at=leaves_at,
                )
            )
    return found
