"""A stand-in of azd where it fills `infra/main.parameters.json` from its environment.

As azd does (azure-dev, `bicep_provider.go`, `loadParameters`; drone/envsubst, `parseDefaultFunc`): in the JSON text of
each parameter, `${NAME}` and `${NAME=default}` are replaced by the variable as it is, nothing escaped, by the default
where it is empty or missing; then the text is read as JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.infra.bicep import INFRA

_REFERENCE = re.compile(r"\$\{(\w+)(?:=([^}]*))?\}")
PARAMETERS: Mapping[str, Any] = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]


def variables() -> set[str]:
    """The variables that the parameters file reads."""
    return {name for name, _ in _REFERENCE.findall(json.dumps(PARAMETERS))}


def filled(environment: Mapping[str, str]) -> dict[str, Any]:
    """The values of the parameters that azd hands to Resource Manager.

    Raises:
        ValueError: a variable makes a parameter that is no JSON.
    """
    texts = {
        parameter: _REFERENCE.sub(lambda found: environment.get(found[1]) or found[2] or "", json.dumps(given))
        for parameter, given in PARAMETERS.items()
    }
    return {parameter: json.loads(text)["value"] for parameter, text in texts.items()}
