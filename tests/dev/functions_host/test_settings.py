import pytest

from dev.functions_host.settings import ConfigurationError, thread_count

NAME = "PYTHON_THREADPOOL_THREAD_COUNT"


@pytest.mark.parametrize(("text", "threads"), [("", None), (" 24 ", 24), ("1", 1), ("32", 32)])
def test_functions_share_as_many_threads_as_the_setting_says(text: str, threads: int | None) -> None:
    assert thread_count({NAME: text}) == threads


@pytest.mark.parametrize("text", ["0", "33", "-1", "1.5", "many", "٣"])
def test_a_number_of_threads_that_cannot_be_had_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match=NAME):
        thread_count({NAME: text})
