"""The page's references to itself. Pure.

The Functions host lets a request in by the key in its query (`code`) or in a header, and a browser that follows
a link sends no header of ours. So the key stands in the page's references to itself, and nowhere else: each is a
query alone (`?id=...&code=...`), which a browser can resolve to nothing but the page's own address.
"""

from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Links:
    """References for one request."""

    key: str = ""
    """The function key, if the request brought it in its query."""

    def to(self, **query: str) -> str:
        """A reference to this page with this query; what is empty is left out."""
        given = {name: value for name, value in query.items() if value}
        if self.key:
            given["code"] = self.key
        return "?" + urlencode(given, errors="replace")
