"""The query of a request: text that anybody may have sent, on its way to a validated model."""

from typing import TypeVar

import azure.functions as func
from pydantic import BaseModel

from shared.http_answers import Refusal
from shared.http_bodies import validated

KEY_PARAMETERS = frozenset({"code", "clientid"})
"""The function key and its name: the host reads them, the app neither does nor passes them on."""

Model = TypeVar("Model", bound=BaseModel)


def read_query(request: func.HttpRequest, model: type[Model]) -> Model:
    """The query as this model; names in any casing, as ASP.NET takes them.

    Raises:
        Refusal: 400 for a parameter that the model has not, or a value that it does not want; its target names it.
    """
    known = {str(field.alias or name).lower(): str(field.alias or name) for name, field in model.model_fields.items()}
    values: dict[str, str] = {}
    for name, value in request.params.items():
        if name.lower() in KEY_PARAMETERS:
            continue
        if name.lower() not in known:
            listed = ", ".join(known.values()) or "none"
            raise Refusal(400, "InvalidQuery", f"unknown parameter {name[:100]!a}; there are: {listed}", name[:100])
        values[known[name.lower()]] = value
    return validated(values, model, "query")
