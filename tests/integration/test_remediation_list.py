"""Reading many remediations on real table storage: pages, filters, and the cache of summaries."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from azure.data.tables import TableClient, UpdateMode
from msgspec.structs import replace

from shared.domain import lifecycle
from shared.domain.remediation import Remediation, Status, instance_key_of
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import summarize
from shared.storage import remediation_list
from shared.storage.remediation_list import Filters, Page, RemediationReader
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, Change, shard_of
from tests.support.remediations import ACCEPTED, INSTANCE, NOW, after, instance_named, queued

HOUR = timedelta(hours=1)
OTHER_SUBSCRIPTION = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
Opening = Callable[..., Remediation]


@pytest.fixture
def store(table: TableClient) -> RemediationStore:
    return RemediationStore(table)


@pytest.fixture
def past(table: TableClient, store: RemediationStore) -> RemediationReader:
    return RemediationReader(table, store, lambda: NOW)


@pytest.fixture
def opened(store: RemediationStore) -> Opening:
    """Opens a remediation, so many hours ago, of an instance of that name."""

    def open_one(name: str, hours_ago: float = 0, subscription: str = INSTANCE.subscription_id) -> Remediation:
        instance = BackupInstanceId(subscription, INSTANCE.resource_group, INSTANCE.vault, name)
        fresh = queued(instance, NOW - hours_ago * HOUR)
        store.open(fresh, store.latest_pointer(instance))
        return fresh

    return open_one


def ids(page: Page) -> list[str]:
    return [stored.remediation.id for stored in page.items]


def saved(store: RemediationStore, changed: Remediation) -> Remediation:
    """The remediation, which has moved on, stored."""
    stored = store.load(changed.id)
    assert stored is not None
    assert list(store.save_all([Change(stored, changed)]))
    return changed


def cancelled(store: RemediationStore, remediation: Remediation) -> Remediation:
    return saved(store, lifecycle.cancel(remediation, "enough", NOW))


def make_unreadable(table: TableClient, remediation: Remediation) -> None:
    row = table.get_entity(shard_of(remediation.id), f"r:{remediation.id}")
    table.update_entity({**row, "Document0": "{}", "Summary": "[]"}, UpdateMode.REPLACE)


def without_summaries(table: TableClient) -> None:
    """As an older app left them."""
    for row in list(table.query_entities("RowKey gt 'r:' and RowKey lt 'r;'")):
        row.pop("Summary")
        table.update_entity(row, UpdateMode.REPLACE)


def test_remediations_are_read_in_the_order_asked_for_without_those_that_cannot_be(
    past: RemediationReader, table: TableClient, opened: Opening
) -> None:
    first, second, unreadable = opened("bi-1"), opened("bi-2", hours_ago=1), opened("bi-3")
    make_unreadable(table, unreadable)
    gone = queued(instance_named("bi-gone"))
    read = past.load([each.id for each in (second, unreadable, gone, first)])
    assert [stored.remediation.id for stored in read] == [second.id, first.id]


def test_a_page_shows_the_newest_first_whatever_their_shard(past: RemediationReader, opened: Opening) -> None:
    made = [opened(f"bi-{number}", hours_ago=number % 7 * 24 + number).id for number in range(12)]
    assert ids(past.page(Filters(), 50)) == sorted(made)


def test_the_pages_together_show_everything_once(past: RemediationReader, opened: Opening) -> None:
    made = {opened(f"bi-{number}", hours_ago=number * 50).id for number in range(11)}
    seen: list[str] = []
    after = None
    for _ in range(6):
        page = past.page(Filters(), 2, after)
        seen += ids(page)
        after = page.after
    assert (len(seen), set(seen), after) == (11, made, None)


def test_a_full_page_that_is_the_last_names_no_next_one(past: RemediationReader, opened: Opening) -> None:
    opened("bi-1"), opened("bi-2")
    assert past.page(Filters(), 2).after is None


def test_what_is_opened_while_somebody_turns_pages_moves_nothing(past: RemediationReader, opened: Opening) -> None:
    made = [opened(f"bi-{number}", hours_ago=number + 1).id for number in range(4)]
    first = past.page(Filters(), 2)
    opened("bi-new")
    assert ids(first) + ids(past.page(Filters(), 2, first.after)) == made


def test_a_status_filter_finds_what_is_years_old(
    past: RemediationReader, store: RemediationStore, opened: Opening
) -> None:
    opened("bi-1")
    old = cancelled(store, opened("bi-2", hours_ago=20_000))
    assert ids(past.page(Filters(statuses=frozenset({Status.CANCELLED, Status.FAILED})), 50)) == [old.id]


def test_a_subscription_filter_takes_any_casing(past: RemediationReader, opened: Opening) -> None:
    opened("bi-1")
    wanted = opened("bi-2", subscription=OTHER_SUBSCRIPTION.upper())
    assert ids(past.page(Filters(subscription_id=OTHER_SUBSCRIPTION), 50)) == [wanted.id]


def test_an_instance_filter_finds_all_of_its_remediations_in_any_casing(
    past: RemediationReader, store: RemediationStore, opened: Opening
) -> None:
    first = cancelled(store, opened("bi-1", hours_ago=500))
    second = opened("BI-1")
    opened("bi-2")
    assert ids(past.page(Filters(instance=instance_named("bi-1")), 50)) == [second.id, first.id]


def test_since_includes_its_own_millisecond_and_nothing_before(past: RemediationReader, opened: Opening) -> None:
    wanted = opened("bi-1", hours_ago=1)
    opened("bi-2", hours_ago=1.000_001)
    assert ids(past.page(Filters(since=NOW - HOUR), 50)) == [wanted.id]


@pytest.mark.parametrize("since", [datetime(1, 1, 1, tzinfo=NOW.tzinfo), datetime(9999, 12, 31, tzinfo=NOW.tzinfo)])
def test_any_time_can_be_asked_for(past: RemediationReader, opened: Opening, since: datetime) -> None:
    opened("bi-1")
    assert len(past.page(Filters(since=since, statuses=frozenset({Status.QUEUED})), 50).items) == (since < NOW)


def test_all_filters_together_are_not_too_many_for_storage(past: RemediationReader, opened: Opening) -> None:
    made = opened("bi-1")
    filters = Filters(frozenset(Status) - {Status.HEALED}, made.instance, made.instance.subscription_id, NOW - HOUR)
    assert ids(past.page(filters, 50)) == [made.id]


def test_a_search_that_would_read_too_much_is_continued_by_the_next_page(
    past: RemediationReader, opened: Opening, store: RemediationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = cancelled(store, opened("bi-1", hours_ago=300))
    filters = Filters(statuses=frozenset({Status.CANCELLED}))
    monkeypatch.setattr(remediation_list, "_MAX_REQUESTS", 4)
    pages = [past.page(filters, 50)]
    while pages[-1].after is not None:
        pages.append(past.page(filters, 50, pages[-1].after))
    assert len(pages) > 2
    assert [found for page in pages for found in ids(page)] == [old.id]


def test_a_record_that_cannot_be_read_hides_no_other(
    past: RemediationReader, table: TableClient, opened: Opening
) -> None:
    corrupt, sound = opened("bi-1"), opened("bi-2")
    make_unreadable(table, corrupt)
    assert ids(past.page(Filters(), 50)) == [sound.id]
    assert [summary.id for summary in past.summaries(NOW - HOUR)] == [sound.id]


@pytest.mark.parametrize("broken", ["a summary", "a document of an older app"])
def test_what_cannot_be_read_is_logged_by_the_thread_that_asked(
    past: RemediationReader, table: TableClient, opened: Opening, broken: str
) -> None:
    corrupt = opened("bi-1")
    make_unreadable(table, corrupt)
    if broken != "a summary":
        without_summaries(table)
    said: list[tuple[int, str]] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append((threading.get_ident(), record.getMessage()))  # type: ignore[method-assign]
    log = logging.getLogger("backup_autoheal")
    log.addHandler(listener)
    try:
        past.summaries(NOW - HOUR)
    finally:
        log.removeHandler(listener)
    [(who, line)] = said
    assert (who, "remediation.corrupt" in line, corrupt.id in line) == (threading.get_ident(), True, True)


def test_rows_of_an_older_app_are_listed(past: RemediationReader, table: TableClient, opened: Opening) -> None:
    made = sorted(opened(f"bi-{number}").id for number in range(30))
    without_summaries(table)
    assert [summary.id for summary in past.summaries(NOW - HOUR)] == made
    assert ids(past.page(Filters(), 50)) == made


def test_summaries_say_what_the_remediations_say(
    past: RemediationReader, store: RemediationStore, opened: Opening
) -> None:
    ended = cancelled(store, opened("bi-1"))
    running = saved(store, after(opened("bi-2", 0.5), ACCEPTED, now=NOW))
    assert past.summaries(NOW - HOUR) == [summarize(ended), summarize(running)]


def test_summaries_that_are_read_again_show_what_changed_meanwhile(
    past: RemediationReader, store: RemediationStore, opened: Opening
) -> None:
    first = opened("bi-1", hours_ago=1)
    past.summaries(NOW - 2 * HOUR)
    second = opened("bi-2")
    cancelled(store, first)
    assert [summary.status for summary in past.summaries(NOW - 2 * HOUR)] == [Status.QUEUED, Status.CANCELLED]
    assert past.summaries(NOW - 2 * HOUR)[0].id == second.id


def test_summaries_reach_back_as_far_as_is_asked_each_time(past: RemediationReader, opened: Opening) -> None:
    for days in (0, 3, 9):
        opened(f"bi-{days}", hours_ago=24 * days)
    assert [len(past.summaries(NOW - days * 24 * HOUR)) for days in (1, 10, 4)] == [1, 3, 2]


def test_only_the_newest_summaries_are_kept(
    past: RemediationReader, opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.storage.summary_cache.MAX_SUMMARIES", 8)
    made = sorted(opened(f"bi-{number}", hours_ago=number).id for number in range(24))
    kept = [summary.id for summary in past.summaries(NOW - 100 * HOUR)]
    opened("bi-new", hours_ago=-1)
    later = [summary.id for summary in past.summaries(NOW - 100 * HOUR)]
    of_each_shard = [one for shard in SHARDS for one in [each for each in made if shard_of(each) == shard][:2]]
    assert kept == sorted(of_each_shard)
    assert len(later) <= 8


def test_what_was_over_since_a_time_is_found_among_those_opened_before_another(
    past: RemediationReader, opened: Opening, store: RemediationStore
) -> None:
    for name, hours_ago, over_hours_ago in (("long over", 90, 80), ("late", 60, 10), ("new", 5, 4)):
        over = lifecycle.cancel(opened(name, hours_ago), "enough", NOW - over_hours_ago * HOUR)
        saved(store, replace(over, due_at=None, published_at=over.ended_at))
    running = opened("running", 70)
    found = past.ids_over_since(NOW - 24 * HOUR, NOW - 48 * HOUR)
    assert sorted(instance_key_of(each) for each in found) == sorted(
        instance.key for instance in (instance_named("late"), running.instance)
    )
