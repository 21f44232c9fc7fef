"""The command line: sets up the environment, then hands over. Stdlib only, until that is set up."""

import argparse
import sys
from collections.abc import Sequence

from dev.processes.errors import Failure
from dev.processes.interrupts import Interrupted, raise_on_signals
from dev.setup import environment

_DESCRIPTION = "Watch a failed backup instance heal itself, run the same stack for yourself, or test everything."


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    raise_on_signals()
    try:
        # pytest's own options follow `test`; argparse would want to know them.
        if arguments[:1] == ["test"] and arguments[1:2] not in (["-h"], ["--help"]):
            options = argparse.Namespace(command="test", quick="--quick" in arguments)
            pytest_arguments = [argument for argument in arguments[1:] if argument != "--quick"]
        else:
            options, pytest_arguments = _parser().parse_args(arguments), []
        node = environment.prepare()
        if not environment.is_active():
            environment.enter(arguments)
        # Only now are the packages there that these import.
        if options.command == "test":
            from dev.quality.check import check
            from dev.setup import checkers

            if not options.quick:
                checkers.prepare(node)
            return check(pytest_arguments, environment.child_environment(node), quick=options.quick)
        if options.command == "bench":
            from dev.bench.run import bench

            return bench(options, node, environment.child_environment(node))
        from dev.demo.demo import demo, up

        command = demo if options.command == "demo" else up
        return command(options, node, environment.child_environment(node))
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        return interrupted.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dev", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    host = argparse.ArgumentParser(add_help=False)
    host.add_argument(
        "--host",
        choices=("auto", "func", "local"),
        default="auto",
        help="Core Tools (func), dev/functions_host (local), or func where it is installed (auto, the default)",
    )
    demo = commands.add_parser("demo", parents=[host], help="a failed backup instance heals itself, live")
    demo.add_argument("--json", action="store_true", help="the last line of stdout is the result as JSON")
    demo.add_argument(
        "--story",
        choices=("heal", "job", "permission"),
        default="heal",
        help="heal (the default): an instance in error; job: a failed nightly backup; permission: a missing role",
    )
    demo.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    commands.add_parser("up", parents=[host], help="the same stack, to be tried by hand, until Ctrl-C")
    bench = commands.add_parser("bench", help="measure the app beside the official SDK's poller")
    bench.add_argument("--json", action="store_true", help="the last line of stdout is the result as JSON")
    bench.add_argument("--quick", action="store_true", help="small numbers, one run: a minute instead of twenty")
    test = commands.add_parser(
        "test",
        help="lint, types and all tests; further arguments go to pytest",
        usage="python3 -m dev test [--quick] [pytest arguments]",
        description="ruff, mypy, then pytest with the given arguments. All run, even when one fails.",
    )
    test.add_argument("--quick", action="store_true", help="of the tests, only the unit tests: less than a minute")
    return parser
