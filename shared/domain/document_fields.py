"""Fields that the structs of a remediation's document share: times, and those that a later version wrote."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]
UnknownFields = Mapping[str, Any]
"""Fields of the stored document that a later version of the app wrote: kept as they are."""
UNKNOWN = "$unknown"
"""Their place while a struct is on its way to JSON; no field of a document has such a name."""
