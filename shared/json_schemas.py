"""How JSON Schema is made from the models, and how it says what the validators of ids check."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

ARM_ID: dict[str, Any] = {"type": "string", "format": "arm-id", "maxLength": 4096}
"""`arm-id` is the format that Azure's own specifications use; no engine of regular expressions in JSON Schema has a
flag for casing, so a pattern could not be read."""
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
# The first character is stricter than the validator, which refuses only names of nothing but dots.
ARM_NAME: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[^./\\?#%\u0000-\u001f\u007f][^/\\?#%\u0000-\u001f\u007f]{0,259}$",
}


class Untitled(GenerateJsonSchema):
    """Without the titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
