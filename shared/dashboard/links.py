"""URLs of the page itself. Pure.

The Functions host lets a request in by the key in its query (`code`) or in a header, and a browser that follows
a link sends no header of ours. So the key stands in the page's references to itself, and nowhere else: each is a
query alone (`?id=...&code=...`), which a browser can resolve to nothing but the page's own address.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

LIVE_OFF = "off"
"""Of the parameter `live`: the page does not refresh itself."""


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the URLs for one request."""

    key: str = ""
    """The function key, if the request has it in its query."""
    is_live: bool = True
    """Whether the page is to refresh itself; where it is not, its links keep it so."""

    def url(self, **query: str) -> str:
        """The page's relative URL with this query and the key; empty parameters are left out."""
        kept = {"live": "" if self.is_live else LIVE_OFF, **query, "code": self.key}
        parameters = {name: value for name, value in kept.items() if value}
        return "?" + urlencode(parameters, errors="replace")
