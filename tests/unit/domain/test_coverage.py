"""Coverage of the sweep, by the subscriptions that are wanted and those that the identity can read."""

from shared.domain.coverage import Coverage, coverage_of

ONE, TWO, THREE = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3))


def test_all_that_can_be_read_is_watched_unless_subscriptions_are_named() -> None:
    assert coverage_of((), {ONE: "prod", TWO: "test"}, 5) == Coverage(watched=2, readable=2, instances=5)


def test_a_subscription_that_is_named_and_cannot_be_read_is_refused() -> None:
    coverage = coverage_of((ONE, THREE), {ONE: "prod", TWO: "test"}, 5)
    assert (coverage.watched, coverage.readable, coverage.refused, coverage.refused_count) == (2, 1, (THREE,), 1)


def test_where_azure_names_no_subscription_nothing_is_called_refused() -> None:
    coverage = coverage_of((ONE, THREE), None, None)
    assert (coverage.watched, coverage.readable, coverage.refused_count) == (2, None, 0)


def test_all_that_can_be_read_is_named_also_what_is_not_watched() -> None:
    assert coverage_of((ONE,), {ONE: "prod", TWO: "test"}, 5).names == {ONE: "prod", TWO: "test"}


def test_an_identity_that_sees_nothing_watches_nothing() -> None:
    assert coverage_of((), {}, 0) == Coverage(watched=0, readable=0, instances=0)
