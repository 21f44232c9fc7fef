"""The output of demo and up: a live table in a terminal, plain lines where there is none."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from dev.demo.timeline import Milestone, Timeline
from dev.stack.stack import Stack

_TITLE_WIDTH = 17


class TimelineView:
    """Shows the milestones as they are reached: redrawn in a terminal, one line each elsewhere."""

    def __init__(self, console: Console) -> None:
        """Writes to this console."""
        self._console = console
        self._live: Live | None = None
        self._printed = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Redraw within the block; its last picture stays."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=10) as self._live:
            yield

    def update(self, timeline: Timeline) -> None:
        """Show the timeline as it is now."""
        milestones = timeline.milestones()
        if self._live:
            self._live.update(_table(milestones))
            return
        # The host's log may tell of a stage after the topic has told of a later one: that waits for its turn.
        told = filter(_is_reached, milestones) if timeline.is_complete else takewhile(_is_reached, milestones)
        reached = list(told)
        for each in reached[self._printed :]:
            print_plain(self._console, f"{each.seconds:7.2f} s  {each.title:{_TITLE_WIDTH}} {each.detail}")
        self._printed = max(self._printed, len(reached))


def _is_reached(milestone: Milestone) -> bool:
    return milestone.seconds is not None


def _table(milestones: list[Milestone]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(width=2)
    table.add_column(width=_TITLE_WIDTH)
    table.add_column(justify="right", width=8)
    table.add_column(overflow="fold")
    waiting = False
    for each in milestones:
        if each.seconds is not None:
            table.add_row("[green]✔[/]", Text(each.title, "bold"), f"{each.seconds:.2f} s", Text(each.detail))
        else:
            mark = Text("·", "dim") if waiting else Spinner("dots")
            table.add_row(mark, Text(each.title, "dim"), "", Text(each.detail, "dim"))
            waiting = True
    return table


def print_plain(console: Console, text: str = "") -> None:
    """A line as it is: no markup, no colouring of numbers, no wrapping (a curl line is to be copied)."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_summary(console: Console, timeline: Timeline, seconds_to_start: float) -> None:
    """The result in a few lines: status, times, calls."""
    kinds = timeline.arm_calls_by_kind()
    calls = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    sync, outcome = timeline.seconds_to_sync(), timeline.seconds_to_outcome()
    console.print()
    console.print(Text(f"{timeline.status}", "bold green" if timeline.succeeded else "bold red"), end="")
    print_plain(console, f"  remediation {timeline.remediation_id}")
    if sync is not None:
        print_plain(console, f"signal to sync call     {sync:6.2f} s")
    if outcome is not None:
        print_plain(console, f"signal to outcome event {outcome:6.2f} s")
    print_plain(console, f"start of the stack      {seconds_to_start:6.2f} s")
    print_plain(console, f"calls to Resource Manager: {sum(kinds.values())} ({calls})")


def print_guide(console: Console, stack: Stack, instance_id: str, event_file: str) -> None:
    """The addresses and keys of the stack, curl commands to try, and as the last line the page's URL.

    `instance_id` is a broken instance that nobody has healed yet; `event_file` holds an event about another.
    """
    host, azure, keys = stack.host.url, stack.simulator.url, stack.host.keys
    key = ["-H", f"x-functions-key: {keys['function']}"] if keys else []
    code = f"&code={keys['system']}" if keys else ""
    webhook = f"{host}/runtime/webhooks/EventGrid?functionName=on_backup_failure{code}"
    json_body, notification = ["-H", "content-type: application/json"], ["-H", "aeg-event-type: Notification"]
    trusted = ["--cacert", str(stack.simulator.ready["ca"])]
    broken = f'{{"id": "{instance_id}"}}'
    request = f'{{"backupInstanceId": "{instance_id}"}}'
    sections = {
        "Functions host": host,
        "simulated Azure": azure,
        "storage": stack.azurite.connection_string,
        "function key": keys.get("function", "none is asked for"),
        "system key": keys.get("system", "none is asked for"),
        "logs": str(stack.directory / "logs"),
    }
    commands = {
        "heal an instance": [f"{host}/api/sync", *key, *json_body, "-d", request],
        "see how far it is": [f"{host}/api/remediations/ID", *key],
        "another one's backup failed, says Event Grid": [webhook, *notification, *json_body, "-d", f"@{event_file}"],
        "break an instance": [f"{azure}/_simulator/instances", *trusted, "-X", "PUT", *json_body, "-d", broken],
        "what Azure was asked": [f"{azure}/_simulator/requests", *trusted],
        "what was announced": [f"{azure}/_simulator/events?topic=outcomes", *trusted],
        "is all well": [f"{host}/api/health", *key],
    }
    console.print()
    for name, value in sections.items():
        print_plain(console, f"{name + ':':17} {value}")
    for name, arguments in commands.items():
        print_plain(console, f"\n# {name}\ncurl -sS {shlex.join(arguments)}")
    console.print("\n[bold]Ctrl-C ends everything.[/] The page, to look at it:")
    print_plain(console, f"{host}/api/dashboard" + (f"?code={keys['function']}" if keys else ""))
