"""A host dies at one certain moment."""

from tests.simulation.scenario import break_many, ends, new_world


def test_a_call_that_did_its_work_is_not_made_again_after_a_crash() -> None:
    world = new_world(skews=(0.0, 0.0))
    world.azure.duration = (1.0, 2.0)
    break_many(world, 1)
    while not world.azure.calls:
        world.run(0.001)
    # The call is made, and its answer is on its way.
    for host in list(world.hosts):
        world.kill(host, restart_after=5)
    world.run_until_over(3_600)
    assert ends(world) == {"Healed": 1}
    assert len(world.azure.calls) == 1


def test_what_a_host_claimed_before_it_died_is_healed() -> None:
    world = new_world()
    break_many(world, 1)
    while not len(world.table):
        world.run(0.001)
    world.kill(world.hosts[0], restart_after=5)
    world.run_until_over(3_600)
    assert set(ends(world)) == {"Healed"}
