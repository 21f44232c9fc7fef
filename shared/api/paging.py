"""Query parameters that lists share: choices, sizes, and places in a list."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import azure.functions as func
from pydantic import BeforeValidator

from shared.api.errors import ApiError
from shared.api.requests import KEY_PARAMETERS
from shared.domain.remediation import is_remediation_id, opened_at_of
from shared.domain.summary_list import is_place

Choice = TypeVar("Choice", bound=StrEnum)


def choice(of: type[Choice]) -> BeforeValidator:
    """Reads one of these, in any casing."""

    def read(value: object) -> Choice:
        for choice in of:
            if str(value).strip().lower() == choice.lower():
                return choice
        raise ValueError(f"{str(value)[:100]!a} is no {of.__name__.lower()}; there are: {', '.join(of)}")

    return BeforeValidator(read)


def whole_number(value: object) -> int:
    """Of up to nine digits.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,9}", str(value), re.ASCII):
        raise ValueError(f"{str(value)[:100]!a} is no whole number")
    return int(str(value))


def place(value: object) -> str:
    """The place in the list that the continuation of a `nextLink` names.

    Raises:
        ValueError: no response of this app has named it.
    """
    try:
        found = urlsafe_b64decode(f"{value}==").decode()
        if not is_place(found) or continuation(found) != value:
            raise ValueError("not a place")
        opened_at_of(found.rpartition("~")[2])
    except (ValueError, OverflowError, OSError) as cause:
        raise ValueError("not a continuation of this list: take it from nextLink") from cause
    return found


def continuation(place: str) -> str:
    """A place in the list as an opaque text that needs no escape in a URL."""
    return urlsafe_b64encode(place.encode(errors="replace")).decode().rstrip("=")


def id_of_place(place: str | None) -> str | None:
    """The place in a list that storage sorts: an id."""
    if place and not is_remediation_id(place):
        raise ApiError(400, "InvalidRequest", "continuation: it is one of another order", "continuation")
    return place


def next_link(request: func.HttpRequest, after: str) -> str:
    """The request's own URL with the next place; without its key, which must not get into logs and pages."""
    url = urlsplit(request.url)
    left_out = {*KEY_PARAMETERS, "continuation"}
    query: dict[str, Any] = {name: value for name, value in request.params.items() if name.lower() not in left_out}
    return f"{url.scheme}://{url.netloc}{url.path}?{urlencode({**query, 'continuation': continuation(after)})}"
