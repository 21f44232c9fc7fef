"""JSON Schemas of a remediation's document, made from its structs: part of openapi.json and of the outcome's schema."""

from typing import Any

import msgspec

from shared.domain.attention import Acknowledgement, Attention
from shared.domain.document_fields import UNKNOWN
from shared.domain.recovery import BackupRun, Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Attempt, Error, Remediation, Resolution, Status, Transition
from shared.domain.remedy import NextStep
from shared.domain.signal import SyncType

Json = dict[str, Any]
_STRUCTS = {
    "RemediationResource": Remediation,
    "AttemptResource": Attempt,
    "TransitionResource": Transition,
    "RecoveryResource": Recovery,
    "BackupRunResource": BackupRun,
    "AttentionResource": Attention,
    "NextStepResource": NextStep,
    "AcknowledgementResource": Acknowledgement,
}
"""By the names that they have in generated clients."""
_ENUMS = {"Status": Status, "SyncType": SyncType, "Resolution": Resolution, "RecoveryMode": RecoveryMode}
_NAMES = {kind.__name__: name for name, kind in {**_STRUCTS, **_ENUMS}.items()}
_ERROR = msgspec.json.schema(Error)


def remediation_schemas(folder: str) -> dict[str, Json]:
    """The schemas by name; a `$ref` in them leads to the others in the folder, such as `#/components/schemas`.

    Every field is required, since all are always written. Fields beside these are not forbidden: versions add some.
    """
    _, made = msgspec.json.schema_components(_STRUCTS.values(), schema_hook=_arm_id, ref_template="{name}")
    schemas = {name: _object(made[struct.__name__]) for name, struct in _STRUCTS.items()}
    # msgspec sorts the values of an enum, which have an order of their own.
    schemas |= {name: {**made[name], "enum": [*enum], "type": "string"} for name, enum in _ENUMS.items()}
    # It is made when the document is shown, and not stored.
    shown = schemas["RemediationResource"]
    shown["properties"]["nextStep"] = {
        "description": "What an operator can do where it ended other than well, or waits for a person; else null.",
        "anyOf": [{"$ref": "NextStep"}, {"type": "null"}],
    }
    shown["required"].append("nextStep")
    schemas["ErrorDetail"] = {**_ERROR, "additionalProperties": True}
    return {name: {**_with_references(schema, folder), "title": name} for name, schema in schemas.items()}


def _arm_id(kind: type) -> Json:
    return {"type": "string", "format": "arm-id"}


def _object(struct: Json) -> Json:
    fields = {name: {**schema} for name, schema in struct["properties"].items() if name != UNKNOWN}
    for schema in fields.values():
        schema.pop("default", None)
    return {**struct, "properties": fields, "required": list(fields)}


def _with_references(schema: Any, folder: str) -> Any:
    """The schema with references into the folder, also where the schema of an error stands in place."""
    if schema == _ERROR:
        return {"$ref": f"{folder}/ErrorDetail"}
    if isinstance(schema, list):
        return [_with_references(each, folder) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"{folder}/{_NAMES[value]}" if key == "$ref" else _with_references(value, folder)
        for key, value in schema.items()
    }
