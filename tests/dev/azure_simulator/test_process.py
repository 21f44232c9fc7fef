"""The simulator as a process: how it announces itself, ends, and comes back."""

import stat
from pathlib import Path

from tests.dev.azure_simulator.conftest import running_simulator


def test_when_it_is_told_to_end_then_it_ends_with_0_and_has_said_nothing_but_that_it_was_ready(
    tmp_path: Path,
) -> None:
    with running_simulator(tmp_path) as simulator:
        simulator.put()
        # A connection that is open and a request that waits must not hold it up.
        assert simulator.read().status_code == 200
        process = simulator.process
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout
        assert process.stdout.read() == ""


def test_given_the_same_directory_and_port_when_it_is_started_again_then_its_clients_need_nothing_new(
    tmp_path: Path,
) -> None:
    with running_simulator(tmp_path) as first:
        ready, token = first.ready, first.token()
        port = int(first.url.rpartition(":")[2])
        trusted = Path(ready["ca"]).read_text()

    with running_simulator(tmp_path, port) as second:
        second.put()
        answer = second.read(headers={"Authorization": f"Bearer {token}"})

    assert second.ready == ready
    assert Path(ready["ca"]).read_text() == trusted
    assert answer.status_code == 200


def test_when_it_is_started_then_only_its_owner_can_read_its_keys(tmp_path: Path) -> None:
    with running_simulator(tmp_path) as simulator:
        assert Path(simulator.ready["ca"]) == tmp_path / "ca.pem"

    for name in ("ca.key", "server.pem", "identity.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
