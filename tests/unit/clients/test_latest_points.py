"""The newest recovery points by Resource Graph: one query of a subscription for all that ask within minutes."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import cast

import pytest

from shared.clients import latest_points
from shared.clients.latest_points import LatestPointCache
from shared.clients.resource_graph import ResourceGraph
from shared.clock import to_iso
from shared.domain.arm_results import TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId
from tests.support.clock import Clock
from tests.support.remediations import NOW


def instance(subscription: int, number: int = 0) -> BackupInstanceId:
    return BackupInstanceId(f"00000000-0000-4000-8000-{subscription:012d}", "rg", "vault", f"bi-{number}")


@dataclass
class Graph:
    """Each subscription has these many instances, with a point of now."""

    instances: int = 2
    asked: Counter[str] = field(default_factory=Counter)
    is_down: bool = False
    while_it_answers: Callable[[str], None] = lambda subscription_id: None

    def rows(self, query: str, subscription_id: str, deadline: datetime) -> list[object] | TransientFailure:
        self.asked[subscription_id] += 1
        self.while_it_answers(subscription_id)
        if self.is_down:
            return TransientFailure(new_error("NoResponse", "down"))
        number = int(subscription_id.rpartition("-")[2])
        return [{"id": str(instance(number, each)), "latestPoint": to_iso(NOW)} for each in range(self.instances)]


def cache(graph: Graph, clock: Clock | None = None) -> LatestPointCache:
    return LatestPointCache(cast(ResourceGraph, graph), clock or Clock())


def test_one_query_serves_all_instances_of_a_subscription_for_some_minutes() -> None:
    graph, clock = Graph(), Clock()
    points = cache(graph, clock)
    assert [points.newest(instance(1, number)) for number in (0, 1, 7)] == [NOW, NOW, None]
    clock.advance(minutes=3)
    points.newest(instance(1))
    assert graph.asked.total() == 1
    clock.advance(minutes=1)
    points.newest(instance(1))
    assert graph.asked.total() == 2


def test_many_subscriptions_that_are_looked_at_in_turn_cost_one_query_each() -> None:
    graph = Graph()
    points = cache(graph)
    for number in range(2):
        for subscription in range(200):
            points.newest(instance(subscription, number))
    assert set(graph.asked.values()) == {1}


def test_the_oldest_answers_go_where_there_are_too_many_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_points, "_MAX_INSTANCES", 5)
    graph = Graph()
    points = cache(graph)
    for subscription in (1, 2, 3, 3, 2, 1):
        points.newest(instance(subscription))
    assert [graph.asked[instance(each).subscription_id] for each in (1, 2, 3)] == [2, 1, 1]


def test_an_outage_is_asked_about_once_in_some_minutes() -> None:
    graph = Graph(is_down=True)
    points = cache(graph)
    assert [points.newest(instance(1)) for _ in range(3)] == [None, None, None]
    assert graph.asked.total() == 1


def test_a_subscription_that_answers_slowly_keeps_no_other_waiting() -> None:
    slow, answered = instance(1).subscription_id, Event()

    def wait(subscription_id: str) -> None:
        if subscription_id == slow:
            assert answered.wait(10)

    graph = Graph(while_it_answers=wait)
    points = cache(graph)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(points.newest, instance(1, number)) for number in range(2)]
        assert threads.submit(points.newest, instance(2)).result(timeout=10) == NOW
        answered.set()
        assert [each.result(timeout=10) for each in waiting] == [NOW, NOW]
    assert graph.asked[slow] == 1
