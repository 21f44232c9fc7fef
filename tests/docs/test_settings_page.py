"""docs/settings.md is the settings model, written down. WRITE_DOCS=1 writes it anew."""

import os
from dataclasses import Field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_NONSENSE = "\0"

HEAD = """# Settings

Environment variables: app settings in Azure, `local.settings.json` on a developer's machine.
An empty one counts as absent, unless its row says otherwise.
A value that cannot be used stops the app at start, with one message that names every such value.
With azd: `azd env set COOLDOWN PT30M`, then `azd provision`. The template itself sets `AZURE_CLIENT_ID`, `ARM_ENDPOINT`
and `OUTCOME_TOPIC_ENDPOINT`.

Durations are ISO 8601 (`PT6H`, `P1DT30M`) or `HH:MM:SS`.
This page is made from the settings model, `shared/settings.py`:
`WRITE_DOCS=1 python -m pytest tests/docs/test_settings_page.py` writes it anew.

| variable | default | expected | meaning |
|---|---|---|---|
"""

TAIL = """
## Storage

| variable | meaning |
|---|---|
| `AzureWebJobsStorage` | A connection string: for development only. |
| `AzureWebJobsStorage__blobServiceUri`, `__queueServiceUri`, `__tableServiceUri` | Its endpoints, by identity. |
| `AzureWebJobsStorage__accountName` | Its name, instead of the three endpoints; for the public cloud only. |
| `AzureWebJobsStorage__credential`, `__clientId` | `managedidentity`, and the client id of a user-assigned one. |
"""


def page() -> str:
    return HEAD + "".join(row(knob) for knob in fields(Settings)) + TAIL


def row(knob: Field[Any]) -> str:
    cells = (f"`{knob.metadata['variable']}`", shown(knob.default), expected(knob), knob.metadata["meaning"])
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def shown(value: object) -> str:
    return f"`{written(value)}`" if written(value) else "none"


def written(value: object) -> str:
    """The value as its variable would have it."""
    if isinstance(value, tuple):
        return ",".join(written(one) for one in value)
    return iso(value) if isinstance(value, timedelta) else str(value or ("" if value is None else value))


def iso(duration: timedelta) -> str:
    """ISO 8601, in days, hours, minutes and seconds."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    day = f"{duration.days}D" if duration.days else ""
    return f"P{day}T{clock}" if clock else f"P{day or 'T0S'}"


def expected(knob: Field[Any]) -> str:
    """What the setting's reader says when it meets nonsense; those that take every text are lists or texts."""
    try:
        knob.metadata["read"](_NONSENSE)
    except ValueError as refusal:
        return str(refusal).removeprefix("expected ").partition(", got ")[0]
    return "texts separated by commas" if isinstance(knob.default, tuple) else "text"


def test_the_page_is_the_model() -> None:
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "docs/settings.md is not up to date: write it anew with WRITE_DOCS=1"


def test_defaults_are_written_as_the_settings_read_them() -> None:
    variables = {knob.metadata["variable"]: written(knob.default) for knob in fields(Settings)}
    assert Settings.from_environment(variables) == Settings()
