"""The company model: what a business does, and every habit of sales departments, one by one."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from ingest.demo import CompanyTables, DemoCompany, story
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

DAY = 86_400
MOSCOW = dt.timezone(dt.timedelta(hours=3))


@pytest.fixture(scope="module")
def firm() -> CompanyTables:
    return DemoCompany(leads=6000).world()


@pytest.fixture(scope="module")
def deals(firm: CompanyTables) -> list[dict[str, Any]]:
    return firm.deals.to_pylist()


@pytest.fixture(scope="module")
def visits(firm: CompanyTables) -> list[dict[str, Any]]:
    return firm.visits.to_pylist()


def column(table: pa.Table, name: str) -> list[Any]:
    found: list[Any] = table.column(name).to_pylist()
    return found


def by_id(table: pa.Table, key: str) -> dict[int, dict[str, Any]]:
    return {row[key]: row for row in table.to_pylist()}


def changes_of(firm: CompanyTables) -> dict[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in firm.stage_changes.to_pylist():
        found[row["deal_id"]].append(row)
    return found


def person_of(firm: CompanyTables) -> dict[int, int]:
    """Return the person behind each deal."""
    contacts = by_id(firm.contacts, "contact_id")
    return {
        row["deal_id"]: contacts[row["contact_id"]]["person_id"]
        for row in firm.deals.to_pylist()
        if row["contact_id"] is not None
    }


def local(moment: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment, MOSCOW)


def digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)[-10:]


# Demand and visits


def test_demand_follows_season_weekday_hour_and_holidays(deals: list[dict[str, Any]]) -> None:
    moments = [local(row["created_at"]) for row in deals if row["kind"] == "new"]
    by_day = Counter(moment.date() for moment in moments)
    weekdays = Counter(moment.weekday() for moment in moments)
    assert weekdays[0] > 1.2 * weekdays[5]
    hours = Counter(moment.hour for moment in moments)
    assert hours[11] > 10 * hours[3]

    def daily(month: str) -> float:
        days = [number for day, number in by_day.items() if day.isoformat().startswith(month)]
        return sum(days) / len(days)

    assert daily("2025-10") > 1.2 * daily("2025-07")
    new_year = sum(by_day[dt.date(2026, 1, day)] for day in range(1, 9)) / 8
    assert new_year < 0.75 * daily("2026-02")


def test_every_campaign_of_both_platforms_brings_requests_and_costs(
    firm: CompanyTables, deals: list[dict[str, Any]]
) -> None:
    asked = Counter(row["utm_campaign"] for row in deals)
    spent: Counter[int] = Counter()
    for row in firm.ad_spend.to_pylist():
        if row["known_to_at"] is None:
            spent[row["campaign_id"]] += row["cost_micros"]
    platforms = set()
    for campaign in firm.ad_campaigns.to_pylist():
        platforms.add(campaign["platform"])
        assert asked[str(campaign["campaign_id"])] > 0
        assert spent[campaign["campaign_id"]] > 0
    assert platforms == {"yandex_direct", "vk_ads"}
    assert set(column(firm.ad_spend, "platform")) == platforms


def test_vat_of_advertising_is_20_and_from_2026_on_22_percent(firm: CompanyTables) -> None:
    for day, rate in zip(
        column(firm.ad_spend, "spend_date"), column(firm.ad_spend, "vat_rate_percent"), strict=True
    ):
        assert rate == (20 if day < dt.date(2026, 1, 1) else 22)


def test_people_visit_several_times_and_most_visits_lead_to_nothing(
    firm: CompanyTables, visits: list[dict[str, Any]]
) -> None:
    assert 3.6 <= len(visits) / firm.deals.num_rows <= 4.1
    assert sum(row["person_id"] is None for row in visits) > 0.5 * len(visits)
    of_person = Counter(row["person_id"] for row in visits if row["person_id"] is not None)
    assert {1, 2, 3, 4, 5, 6} <= set(of_person.values())
    channels = defaultdict(set)
    devices = defaultdict(set)
    for row in visits:
        if row["person_id"] is not None:
            channels[row["person_id"]].add(row["channel"])
            devices[row["person_id"]].add(row["client_id"])
    assert sum(len(found) > 1 for found in channels.values()) > 0.25 * len(channels)
    two = sum(len(found) == 2 for found in devices.values()) / len(devices)
    assert 0.05 <= two <= 0.25


def test_a_second_device_is_of_another_kind(visits: list[dict[str, Any]]) -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    browsers: dict[int, set[str]] = defaultdict(set)
    for row in visits:
        kinds[row["client_id"]].add(row["device"])
        if row["person_id"] is not None:
            browsers[row["person_id"]].add(row["client_id"])
    assert all(len(found) == 1 for found in kinds.values())
    pairs = [found for found in browsers.values() if len(found) == 2]
    differ = sum(len(set.union(*(kinds[one] for one in pair))) == 2 for pair in pairs)
    assert differ > 0.95 * len(pairs)


def test_a_deal_of_the_site_was_asked_for_in_a_visit(
    firm: CompanyTables, deals: list[dict[str, Any]], visits: list[dict[str, Any]]
) -> None:
    begun = defaultdict(list)
    for row in visits:
        if row["goals"] != "[]":
            begun[row["client_id"]].append(row)
    with_browser = [row for row in deals if row["client_id"] is not None]
    assert len(with_browser) > 0.4 * len(deals)
    person = person_of(firm)
    asked_in = 0
    for deal in with_browser:
        found = [
            row
            for row in begun[deal["client_id"]]
            if row["visited_at"]
            <= deal["created_at"]
            <= row["visited_at"] + row["duration_seconds"]
        ]
        asked_in += bool(found)
        # The last inquiry wins the fields: its visit is later than the deal.
        assert found or any(
            row["visited_at"] > deal["created_at"] for row in begun[deal["client_id"]]
        )
        if deal["click_id"] is not None:
            assert any(
                row["click_id"] == deal["click_id"] and row["person_id"] == person[deal["deal_id"]]
                for row in begun[deal["client_id"]]
            )
    assert asked_in > 0.95 * len(with_browser)


def test_visits_are_told_as_a_counter_tells_them(
    firm: CompanyTables, visits: list[dict[str, Any]]
) -> None:
    assert all(re.fullmatch(r"\d{19}", row["visit_id"]) for row in visits)
    assert all(re.fullmatch(r"\d{10,20}", row["client_id"]) for row in visits)
    keys = [(local(row["visited_at"]).year, row["visit_id"]) for row in visits]
    assert len(set(keys)) == len(keys)
    # A visit id is unique within a year only.
    assert len({row["visit_id"] for row in visits}) < len(visits)
    seen = set()
    for row in visits:
        assert row["is_new_user"] == (row["client_id"] not in seen)
        seen.add(row["client_id"])
        assert (row["click_id"] is not None) == (row["adv_engine"] == "ya_direct")
        if row["click_id"] is not None:
            assert f"yclid={row['click_id']}" in row["start_url"]
        if row["utm_source"] is not None:
            assert f"utm_campaign={row['utm_campaign']}" in row["start_url"]
    late = [
        row
        for row in visits
        if row["known_from_at"] - row["visited_at"] - row["duration_seconds"] > DAY / 2
    ]
    assert 0.004 <= len(late) / len(visits) <= 0.016
    plans = set(column(firm.ad_campaigns, "campaign_id"))
    by_vk = [row for row in visits if row["utm_source"] == "vk"]
    assert by_vk
    assert all(int(row["utm_campaign"]) in plans for row in by_vk)


def test_a_tablet_in_the_showroom_is_used_by_many(firm: CompanyTables) -> None:
    browsers = defaultdict(set)
    person = person_of(firm)
    for row in firm.deals.to_pylist():
        if row["client_id"] is not None:
            browsers[row["client_id"]].add(person[row["deal_id"]])
    counts = Counter(len(found) for found in browsers.values())
    assert max(counts) >= 12
    assert sum(number for size, number in counts.items() if size > 1) == 1


# Persons and cards


def test_two_cards_of_one_person_meet_by_phone_or_mail_box_or_are_merged(
    firm: CompanyTables,
) -> None:
    cards = defaultdict(list)
    for row in firm.contacts.to_pylist():
        cards[row["person_id"]].append(row)
    several = [found for found in cards.values() if len(found) > 1]
    assert several
    for found in several:
        first, *others = sorted(found, key=lambda row: row["created_at"])
        for other in others:
            assert (
                digits(first["phone"]) == digits(other["phone"])
                or (first["email"] is not None and first["email"] == other["email"])
                or other["merged_into_contact_id"] is not None
            )


def test_merged_cards_name_a_survivor_of_the_same_person(firm: CompanyTables) -> None:
    contacts = by_id(firm.contacts, "contact_id")
    merged = [row for row in contacts.values() if row["merged_at"] is not None]
    assert 0.005 <= len(merged) / len(contacts) <= 0.03
    other_phones = 0
    for row in merged:
        survivor = contacts[row["merged_into_contact_id"]]
        assert survivor["person_id"] == row["person_id"]
        assert survivor["merged_at"] is None
        assert survivor["deleted_at"] is None
        assert row["created_at"] < row["merged_at"]
        other_phones += digits(survivor["phone"]) != digits(row["phone"])
    assert 0.15 <= other_phones / len(merged) <= 0.55


def test_merged_deals_name_a_survivor_that_is_there(firm: CompanyTables) -> None:
    deals = by_id(firm.deals, "deal_id")
    merged = [row for row in deals.values() if row["merged_at"] is not None]
    assert 0.004 <= len(merged) / len(deals) <= 0.02
    person = person_of(firm)
    moves = changes_of(firm)
    for row in merged:
        survivor = deals[row["merged_into_deal_id"]]
        assert survivor["deleted_at"] is None
        assert survivor["merged_at"] is None
        assert person[survivor["deal_id"]] == person[row["deal_id"]]
        assert row["kind"] == "duplicate"
        assert all(move["changed_at"] <= row["merged_at"] for move in moves[row["deal_id"]])


def test_deals_and_contacts_are_deleted(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    assert any(row["deleted_at"] is not None and not row["is_purged"] for row in deals)
    contacts = by_id(firm.contacts, "contact_id")
    gone = {number for number, row in contacts.items() if row["deleted_at"] is not None}
    assert 0 < len(gone) < 0.01 * len(contacts)
    moves = changes_of(firm)
    for row in deals:
        if row["contact_id"] in gone:
            assert moves[row["deal_id"]][-1]["to_stage_id"] == LOST_STAGE_ID


def test_mail_boxes_that_name_nobody(firm: CompanyTables) -> None:
    boxes = Counter(box for box in column(firm.contacts, "email") if box is not None)
    assert boxes[story.PLACEHOLDER_MAILBOX] > 10
    common = sum(number for box, number in boxes.items() if box.startswith("info@"))
    assert common > 10


def test_small_firms_have_no_keys_that_look_like_a_family(
    firm: CompanyTables,
) -> None:
    small = DemoCompany(leads=500, months=4).world()
    person = person_of(small)
    for key, row_of in (("client_id", small.deals), ("email", small.contacts)):
        holders = defaultdict(set)
        for row in row_of.to_pylist():
            if row[key] is not None:
                who = row["person_id"] if key == "email" else person[row["deal_id"]]
                holders[row[key]].add(who)
        assert all(len(found) == 1 or len(found) > 5 for found in holders.values())


# Work


def test_reps_are_of_equal_skill(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    moves = changes_of(firm)
    won: Counter[int] = Counter()
    had: Counter[int] = Counter()
    for row in deals:
        if row["kind"] == "new":
            had[row["responsible_user_id"]] += 1
            won[row["responsible_user_id"]] += any(
                move["to_stage_id"] == WON_STAGE_ID for move in moves[row["deal_id"]]
            )
    rate = sum(won.values()) / sum(had.values())
    squares = sum((won[rep] - had[rep] * rate) ** 2 / (had[rep] * rate * (1 - rate)) for rep in had)
    # Chi-square with 12 degrees of freedom: 99.9 % lie below 32.9.
    assert len(had) == 13
    assert squares < 32.9


def test_people_work_in_working_hours_robots_at_any(firm: CompanyTables) -> None:
    holidays, short = set(story.HOLIDAYS), set(story.SHORT_DAYS)
    moments = [
        local(row["changed_at"]) for row in firm.stage_changes.to_pylist() if row["changed_by"] != 0
    ]
    for moment in moments:
        assert moment.weekday() != 6
        assert moment.date() not in holidays
        assert 9 <= moment.hour < (18 if moment.date() in short else 19)
    assert sum(moment.date() in short for moment in moments) > 0
    assert any(
        not 9 <= local(row["changed_at"]).hour < 19
        for row in firm.stage_changes.to_pylist()
        if row["changed_by"] == 0
    )


def test_the_calendar_knows_transferred_days() -> None:
    # 3 November 2025 and 9 January 2026 are days off for others that fell on a weekend.
    assert {dt.date(2025, 11, 3), dt.date(2026, 1, 9)} <= set(story.HOLIDAYS)
    assert dt.date(2025, 11, 1) in story.SHORT_DAYS
    assert not set(story.HOLIDAYS) & set(story.SHORT_DAYS)


def test_evidence_stands_beside_the_cards(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    sent: dict[int, dict[str, int]] = defaultdict(dict)
    for row in firm.documents.to_pylist():
        sent[row["deal_id"]][row["kind"]] = row["sent_at"]
    contract_stage = story.SALES_STAGES[4].stage_id
    agreed = offered = 0
    for deal, moves in changes_of(firm).items():
        entered = [row["changed_at"] for row in moves if row["to_stage_id"] == contract_stage]
        from_offer = any(
            row["to_stage_id"] == contract_stage
            and row["from_stage_id"] == story.SALES_STAGES[3].stage_id
            for row in moves
        )
        if from_offer:
            agreed += 1
            offered += "offer" in sent[deal] and sent[deal]["offer"] <= entered[-1]
    assert offered > 0.85 * agreed
    kinds = Counter(column(firm.documents, "kind"))
    assert kinds["offer"] > kinds["contract"] > 0
    assert kinds["act"] > 0
    created = {row["deal_id"]: row["created_at"] for row in deals}
    for deal, documents in sent.items():
        assert all(moment >= created[deal] for moment in documents.values())


def test_qualification_says_who_was_no_target_and_why(deals: list[dict[str, Any]]) -> None:
    new = [row for row in deals if row["kind"] == "new"]
    others = [row for row in new if not row["is_target"]]
    assert 0.08 <= len(others) / len(new) <= 0.3
    assert {row["failing_criterion"] for row in others} == {"region", "budget", "product", "spam"}
    assert all(row["failing_criterion"] is None for row in deals if row["is_target"])
    shares = {
        channel: sum(not row["is_target"] for row in new if row["channel"] == channel)
        / sum(row["channel"] == channel for row in new)
        for channel in ("direct_network", "referral")
    }
    assert shares["direct_network"] > 1.4 * shares["referral"]


def test_no_target_is_ever_sold_to(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    moves = changes_of(firm)
    for row in deals:
        if not row["is_target"] and row["kind"] != "test":
            assert all(move["to_stage_id"] != WON_STAGE_ID for move in moves[row["deal_id"]][-1:])


def test_hand_over_is_offered_at_arrival_and_accepted_by_a_person(
    firm: CompanyTables, deals: list[dict[str, Any]]
) -> None:
    moves = changes_of(firm)
    accepted = 0
    for row in deals:
        taken = row["handover_accepted_at"]
        if row["kind"] == "test":
            assert row["handover_offered_at"] is None
            continue
        assert row["handover_offered_at"] == row["created_at"]
        if taken is not None:
            accepted += 1
            first = next(move for move in moves[row["deal_id"]] if move["changed_by"] != 0)
            assert taken == first["changed_at"] >= row["created_at"]
    assert 0.75 <= accepted / len(deals) < 1


# Money


def test_money_comes_in_parts_late_never_and_goes_back(firm: CompanyTables) -> None:
    invoices = by_id(firm.invoices, "invoice_id")
    paid: Counter[int] = Counter()
    back: Counter[int] = Counter()
    parts: Counter[int] = Counter()
    for row in firm.payments.to_pylist():
        (back if row["is_refund"] else paid)[row["invoice_id"]] += row["amount"]
        parts[row["invoice_id"]] += not row["is_refund"]
        assert row["amount"] > 0
        assert row["paid_at"] >= invoices[row["invoice_id"]]["issued_at"]
    assert all(paid[one] <= invoices[one]["amount"] for one in paid)
    assert all(back[one] <= paid[one] for one in back)
    assert any(back[one] == paid[one] for one in back)
    assert any(0 < back[one] < paid[one] for one in back)
    assert any(number == 2 for number in parts.values())
    assert any(0 < paid[one] < invoices[one]["amount"] for one in invoices)
    assert any(not paid[one] and row["is_advance"] is False for one, row in invoices.items())
    assert 0.003 <= len(back) / len(paid) <= 0.03


def test_spend_of_past_days_is_restated(firm: CompanyTables) -> None:
    versions = defaultdict(list)
    for row in firm.ad_spend.to_pylist():
        versions[row["platform"], row["campaign_id"], row["spend_date"]].append(row)
    restated: set[str] = set()
    for (platform, _, day), told in versions.items():
        for _, after in pairwise(told):
            if local(after["known_from_at"]).date() - day > dt.timedelta(days=1):
                restated.add(platform)
    assert restated == {"yandex_direct", "vk_ads"}


def test_customers_come_again_and_sleep(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    person = person_of(firm)
    bought = defaultdict(list)
    kinds = {row["deal_id"]: row["kind"] for row in deals}
    for deal, moves in changes_of(firm).items():
        if moves[-1]["to_stage_id"] == WON_STAGE_ID and kinds[deal] != "service":
            bought[person[deal]].append(moves[-1]["changed_at"])
    assert sum(len(found) > 1 for found in bought.values()) > 0.04 * len(bought)
    asleep = sum(firm.now - max(found) > 270 * DAY for found in bought.values())
    assert asleep > 0.2 * len(bought)
    woke = sum(
        after - before > 180 * DAY
        for found in bought.values()
        for before, after in pairwise(sorted(found))
    )
    assert woke > 0


# The CRM was lived in


def test_a_stage_was_renamed_and_one_was_given_up(firm: CompanyTables) -> None:
    rows = defaultdict(list)
    for row in firm.stages.to_pylist():
        rows[row["pipeline_id"], row["stage_id"]].append(row)
    before, after = sorted(
        rows[story.SALES_PIPELINE_ID, story.RENAMED_STAGE_ID], key=lambda row: row["valid_from_at"]
    )
    assert before["name"] != after["name"]
    assert before["valid_to_at"] == after["valid_from_at"]
    assert before["position"] == after["position"]
    (removed,) = rows[story.SALES_PIPELINE_ID, story.REMOVED_STAGE_ID]
    entered = left = 0
    for row in firm.stage_changes.to_pylist():
        for side in ("from", "to"):
            if row[f"{side}_stage_id"] == story.REMOVED_STAGE_ID:
                assert row["changed_at"] < removed["valid_to_at"]
        entered += row["to_stage_id"] == story.REMOVED_STAGE_ID
        left += row["from_stage_id"] == story.REMOVED_STAGE_ID
    assert entered == left > 20


def test_some_deals_are_moved_to_another_pipeline(
    firm: CompanyTables, deals: list[dict[str, Any]]
) -> None:
    created_in = {row["deal_id"]: row["pipeline_id"] for row in deals}
    moved = 0
    for deal, moves in changes_of(firm).items():
        assert moves[0]["from_pipeline_id"] == created_in[deal]
        for before, after in pairwise(moves):
            assert after["from_pipeline_id"] == before["to_pipeline_id"]
        moved += any(row["from_pipeline_id"] != row["to_pipeline_id"] for row in moves)
    assert moved > 10


def test_several_pipelines_serve_one_client(firm: CompanyTables) -> None:
    pipelines = defaultdict(set)
    person = person_of(firm)
    for row in firm.deals.to_pylist():
        if row["contact_id"] is not None:
            pipelines[person[row["deal_id"]]].add(row["pipeline_id"])
    served = [found for found in pipelines.values() if len(found) > 1]
    assert served
    assert any(story.SERVICE_PIPELINE_ID in found for found in served)
    assert any(story.REPEAT_PIPELINE_ID in found for found in served)


def test_complaints_are_no_sales(firm: CompanyTables, deals: list[dict[str, Any]]) -> None:
    complaints = {row["deal_id"] for row in deals if row["kind"] == "service"}
    assert 0.005 <= len(complaints) / len(deals) <= 0.02
    assert all(row["amount"] == 0 for row in deals if row["deal_id"] in complaints)
    assert not complaints & set(column(firm.invoices, "deal_id"))
    assert not complaints & set(column(firm.amount_changes, "deal_id"))


def test_lost_deals_are_made_anew_instead_of_reopened(
    firm: CompanyTables, deals: list[dict[str, Any]]
) -> None:
    person = person_of(firm)
    lost: dict[int | None, list[int]] = defaultdict(list)
    for deal, moves in changes_of(firm).items():
        lost[person.get(deal)] += [
            row["changed_at"] for row in moves if row["to_stage_id"] == LOST_STAGE_ID
        ]
    anew = [row for row in deals if row["kind"] == "continuation"]
    assert anew
    for row in anew:
        assert any(
            0 < row["created_at"] - moment < 30 * DAY for moment in lost[person[row["deal_id"]]]
        )
        assert row["created_by"] != 0


def test_unsorted_requests_are_accepted_declined_and_wait(firm: CompanyTables) -> None:
    rows = firm.unsorted.to_pylist()
    resolved = [row for row in rows if row["resolved_at"] is not None]
    assert any(row["is_accepted"] for row in resolved)
    assert any(not row["is_accepted"] for row in resolved)
    assert len(resolved) < len(rows)
    assert {row["category"] for row in rows} == {"forms", "sip"}


def test_calls_hang_on_contacts_and_some_have_no_status(firm: CompanyTables) -> None:
    calls = firm.calls.to_pylist()
    assert all(row["contact_id"] is not None for row in calls)
    assert any(row["outcome"] is None for row in calls)
    assert any(row["outcome"] is None and row["duration_seconds"] >= 30 for row in calls)
    several = Counter(
        contact for contact in column(firm.deals, "contact_id") if contact is not None
    )
    assert any(several[row["contact_id"]] > 1 for row in calls)


def test_chats_come_in_sessions_and_a_robot_answers_at_once(firm: CompanyTables) -> None:
    chats = defaultdict(list)
    for row in firm.messages.to_pylist():
        chats[row["deal_id"]].append(row)
    robots = sessions = unanswered = 0
    for messages in chats.values():
        messages.sort(key=lambda row: row["sent_at"])
        for before, after in pairwise(messages):
            gap = after["sent_at"] - before["sent_at"]
            if after["direction"] == "out" and after["author_id"] == 0:
                robots += 1
                assert gap < 600
            sessions += gap > 4 * 3600
        unanswered += messages[-1]["direction"] == "out"
    assert robots
    assert sessions
    assert unanswered


def test_robots_set_tasks_and_reps_push_deadlines(firm: CompanyTables) -> None:
    tasks = by_id(firm.tasks, "task_id")
    authors = Counter(row["created_by"] == 0 for row in tasks.values())
    assert authors[True] > 0.2 * len(tasks)
    assert authors[False] > 0.2 * len(tasks)
    pushed = defaultdict(list)
    for row in firm.task_deadline_changes.to_pylist():
        pushed[row["task_id"]].append(row)
    for number, moves in pushed.items():
        due = tasks[number]["due_at"]
        completed = tasks[number]["completed_at"] or firm.now
        for row in moves:
            assert row["from_due_at"] == due < row["to_due_at"]
            assert tasks[number]["created_at"] < row["changed_at"] < completed
            due = row["to_due_at"]
    assert any(len(moves) >= 3 for moves in pushed.values())
    assert len(pushed) < 0.12 * len(tasks)


def test_robots_close_forgotten_deals_and_people_forget_others(firm: CompanyTables) -> None:
    moves = changes_of(firm)
    by_robot = [
        row
        for found in moves.values()
        for row in found
        if row["to_stage_id"] == LOST_STAGE_ID and row["changed_by"] == 0
    ]
    assert by_robot
    assert all(row["loss_reason_id"] is None for row in by_robot)
    closed = {
        deal
        for deal, found in moves.items()
        if found[-1]["to_stage_id"] in {WON_STAGE_ID, LOST_STAGE_ID}
    }
    zombies = [
        row
        for row in firm.deals.to_pylist()
        if row["deal_id"] not in closed
        and row["deleted_at"] is None
        and row["created_at"] < firm.now - 180 * DAY
    ]
    assert len(zombies) > 0.01 * firm.deals.num_rows


def test_duplicate_control_writes_into_open_deals(
    firm: CompanyTables, deals: list[dict[str, Any]], visits: list[dict[str, Any]]
) -> None:
    asked = defaultdict(list)
    for row in visits:
        if row["goals"] != "[]" and row["person_id"] is not None:
            asked[row["person_id"]].append(row)
    person = person_of(firm)
    number_of = Counter(person.values())
    overwritten = 0
    for row in deals:
        who = person.get(row["deal_id"])
        if row["kind"] != "new" or who is None or number_of[who] > 1:
            continue
        later = [one for one in asked[who] if one["visited_at"] > row["created_at"]]
        if later:
            assert row["client_id"] == later[-1]["client_id"]
            overwritten += later[-1]["channel"] != row["channel"]
    assert 0.003 <= overwritten / len(deals) <= 0.03


def test_reps_leave_and_hand_over(firm: CompanyTables) -> None:
    active = dict(zip(column(firm.users, "user_id"), column(firm.users, "is_active"), strict=True))
    left = set(column(firm.responsible_changes, "from_user_id"))
    assert left
    assert not any(active[user] for user in left)
