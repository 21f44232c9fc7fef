"""Tables whose answers get lost: what was carried out is answered with an error, or not at all; the SDK repeats it."""

from typing import Any

import requests
from azure.data.tables import TableClient

from shared.storage import connection

NO_ANSWER = 0
"""In place of a status."""


def open_repeating_table(name: str, connection_string: str, first: int = 500) -> tuple[TableClient, list[int]]:
    """A table whose first change is answered so after it was carried out, and the statuses that changes had."""
    table = connection.open_table(name, {"AzureWebJobsStorage": connection_string})
    session: Any = table._client._client._pipeline._transport.session  # type: ignore[attr-defined] # no public way
    really_send, statuses = session.send, list[int]()

    def send(request: Any, **options: Any) -> Any:
        answer = really_send(request, **options)
        if request.method != "GET":
            answer.status_code = answer.status_code if statuses else first
            statuses.append(answer.status_code)
            if answer.status_code == NO_ANSWER:
                answer.close()
                raise requests.ReadTimeout("no answer")
        return answer

    session.send = send
    return table, statuses
