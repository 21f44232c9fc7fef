"""Tables whose answers get lost: what was carried out is answered with an error, and the SDK repeats it."""

from typing import Any

from azure.data.tables import TableClient

from shared.storage import connection


def open_repeating_table(name: str, connection_string: str) -> tuple[TableClient, list[int]]:
    """A table whose first change is answered with 500 after it was carried out, and the statuses that changes had."""
    table = connection.open_table(name, {"AzureWebJobsStorage": connection_string})
    session: Any = table._client._client._pipeline._transport.session  # type: ignore[attr-defined] # no public way
    really_send, statuses = session.send, list[int]()

    def send(request: Any, **options: Any) -> Any:
        answer = really_send(request, **options)
        if request.method != "GET":
            answer.status_code = answer.status_code if statuses else 500
            statuses.append(answer.status_code)
        return answer

    session.send = send
    return table, statuses
