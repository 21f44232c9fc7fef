"""docs/settings.md lists the settings. WRITE_DOCS=1 writes it anew."""

from dataclasses import Field, fields
from datetime import timedelta
from typing import Any

from shared.settings import Settings
from tests.docs.written import assert_is_written

_NONSENSE = "\0"

HEAD = """# Settings

Environment variables: app settings in Azure, `local.settings.json` on a developer's machine.
An empty one counts as absent, unless its row says otherwise.
A value that cannot be used stops the app at start, with one message that names every such value.
With azd each has the prefix `AUTOHEAL_`: `azd env set AUTOHEAL_COOLDOWN PT30M`, then `azd provision`. An empty value is
the default there too. The template itself sets `AZURE_CLIENT_ID`, `ARM_ENDPOINT` and `OUTCOME_TOPIC_ENDPOINT`,
and `SIGN_IN` where `AUTOHEAL_SIGN_IN_CLIENT_ID` is given.
`AUTOHEAL_NOTIFY_WEBHOOK_URL` is a secure parameter of its own, so that no deployment shows it.

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


def row(setting: Field[Any]) -> str:
    cells = (
        f"`{setting.metadata['variable']}`",
        shown(setting.default),
        expected(setting),
        setting.metadata["meaning"],
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def shown(value: object) -> str:
    return f"`{written(value)}`" if written(value) else "none"


def written(value: object) -> str:
    """The value as its variable would have it."""
    if isinstance(value, tuple):
        return ",".join(written(item) for item in value)
    return iso(value) if isinstance(value, timedelta) else str(value or ("" if value is None else value))


def iso(duration: timedelta) -> str:
    """ISO 8601, in days, hours, minutes and seconds."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    day = f"{duration.days}D" if duration.days else ""
    return f"P{day}T{clock}" if clock else f"P{day or 'T0S'}"


def expected(setting: Field[Any]) -> str:
    """The expected form of a setting, from the error of its reader; those that take every text are lists or texts."""
    try:
        setting.metadata["read"](_NONSENSE)
    except ValueError as refusal:
        return str(refusal).removeprefix("expected ").partition(", got ")[0]
    return "texts separated by commas" if isinstance(setting.default, tuple) else "text"


def test_the_page_is_the_model() -> None:
    assert_is_written("settings.md", HEAD + "".join(row(setting) for setting in fields(Settings)) + TAIL)


def test_defaults_are_written_as_the_settings_read_them() -> None:
    variables = {setting.metadata["variable"]: written(setting.default) for setting in fields(Settings)}
    assert Settings.from_environment(variables) == Settings()
