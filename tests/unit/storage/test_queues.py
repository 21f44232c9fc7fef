import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.queues import InvalidJob, SyncJob

JOB = SyncJob("fe6474d5a1f3-0123456789abcdef", 1)


def test_a_job_is_read_as_it_was_written() -> None:
    assert SyncJob.from_message(JOB.to_message()) == JOB


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "[]",
        "{}",
        "[" * 100_000,
        JOB.to_message().replace('"v": 1', '"v": 2'),
        JOB.to_message().replace("fe64", "../x"),
        JOB.to_message().replace('"attempt": 1', '"attempt": true'),
        JOB.to_message().replace('"attempt": 1', '"attempt": 0'),
        JOB.to_message().replace('"attempt": 1', '"attempt": "1"'),
    ],
)
def test_junk_is_no_job(text: str) -> None:
    with pytest.raises(InvalidJob):
        SyncJob.from_message(text)


@given(st.text())
def test_any_text_is_a_job_or_refused(text: str) -> None:
    with pytest.raises(InvalidJob):
        SyncJob.from_message(text)
