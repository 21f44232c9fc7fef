"""Writes of many threads in one: nobody is left out, and nobody pays for another's failure."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from shared.group_commit import GroupCommit


class Storage:
    """Writes numbers; the first write takes until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_end = Event(), Event()

    def write(self, group: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(group))
        self.began.set()
        assert self.may_end.wait(10)
        return [ValueError(str(number)) if number < 0 else number * 10 for number in group]


@pytest.fixture
def storage() -> Storage:
    return Storage()


def written_during_the_first(storage: Storage, numbers: Sequence[int], most: int = 99) -> list[Future[int]]:
    """What becomes of numbers that are wanted while another write, of 1, is under way."""
    commit = GroupCommit(storage.write, most)
    with ThreadPoolExecutor(len(numbers) + 1) as threads:
        first = threads.submit(commit, 1)
        assert storage.began.wait(10)
        others = [threads.submit(commit, number) for number in numbers]
        while len(commit._waiting) < len(numbers):
            pass  # they are on their way
        storage.may_end.set()
    return [first, *others]


def test_one_alone_is_written_at_once(storage: Storage) -> None:
    storage.may_end.set()
    assert GroupCommit(storage.write, 99)(4) == 40
    assert storage.groups == [[4]]


def test_what_comes_during_a_write_goes_out_together(storage: Storage) -> None:
    written = written_during_the_first(storage, [2, 3, 4])
    assert [one.result() for one in written] == [10, 20, 30, 40]
    assert [sorted(group) for group in storage.groups] == [[1], [2, 3, 4]]


def test_a_group_is_no_larger_than_it_may_be(storage: Storage) -> None:
    written = written_during_the_first(storage, [2, 3, 4], most=2)
    assert [one.result() for one in written] == [10, 20, 30, 40]
    assert [len(group) for group in storage.groups] == [1, 2, 1]


def test_a_failure_is_its_own_ones_alone(storage: Storage) -> None:
    _, good, bad = written_during_the_first(storage, [2, -3])
    assert good.result() == 20
    with pytest.raises(ValueError, match="-3"):
        bad.result()


def test_a_write_that_breaks_down_leaves_nobody_waiting() -> None:
    class Down(BaseException):
        """As hard as it gets."""

    def broken(group: Sequence[int]) -> list[int | Exception]:
        raise Down

    commit = GroupCommit(broken, 99)
    for _ in range(2):
        with pytest.raises(Down):
            commit(1)
