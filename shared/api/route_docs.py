"""What a route takes and what it answers, said beside the code that does it: what `openapi` makes its document from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

READ = ("GET", "HEAD")
"""The methods of what only shows something."""


@dataclass(frozen=True, slots=True)
class BodyDoc:
    """A request's body."""

    schema: type[BaseModel] | Mapping[str, Any]
    """The model that validates it; or a schema, for what no model validates."""
    required: bool = True
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ResponseDoc:
    """One status that the route answers with when all goes well."""

    description: str
    schema: type[BaseModel] | Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names, each with a description."""
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class RouteDoc:
    """One route of the HTTP API, with one of its methods."""

    name: str
    """The function's; where one function serves several methods, each has an entry."""
    method: str
    path: str
    """Below `/api`, as the route template has it."""
    summary: str
    answers: Mapping[int, ResponseDoc]
    refusals: Mapping[int, str] = field(default_factory=dict)
    """Each status that is an error in ARM's shape, with when it is answered."""
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Optional request headers besides those of conditional requests, each with a description."""
    body: BodyDoc | None = None


def _true_or_false(value: object) -> bool:
    """In any casing, and nothing else: what is taken for a dry run and is none would do the real thing."""
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{str(value)[:100]!a} is neither true nor false")
    return text == "true"


class DryRunQuery(BaseModel):
    """The query of what can be asked without being done."""

    model_config = ConfigDict(alias_generator=to_camel)

    dry_run: Annotated[bool, BeforeValidator(_true_or_false)] = Field(
        False, description="Say what would happen, and do nothing."
    )


ETAG = {"ETag": "Of this answer; send it as `If-None-Match` the next time."}
NOT_MODIFIED = ResponseDoc("What `If-None-Match` names is still what would be answered.", headers=ETAG)
STORAGE_UNAVAILABLE = {503: "Storage cannot be used now; `Retry-After` says when to try again."}
BODY_REFUSALS = {413: "The body is too large.", 415: "The body is not JSON, says its `Content-Type`."}
