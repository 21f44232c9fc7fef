"""`GET /api/error-codes`: the catalogue, and this installation's own success with each code."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.api.error_codes import ErrorCodesApi
from shared.domain.error_codes import ErrorCodes, read_entries
from shared.domain.remediation import Status
from shared.domain.summary import Summary, summarize
from shared.storage.remediation_list import RemediationReader
from tests.support.api_parts import Json, described, document, http_request
from tests.support.remediations import NOW, queued

RETENTION = timedelta(days=90)


class Reader(RemediationReader):
    """Has these summaries, and keeps since when it was asked for them."""

    def __init__(self, *found: Summary) -> None:
        self._found = list(found)
        self.asked: list[datetime] = []

    def summaries(self, opened_since: datetime) -> list[Summary]:
        self.asked.append(opened_since)
        return self._found


def met(code: str, status: Status) -> Summary:
    return replace(summarize(queued()), status=status, azure_code=code)


def get_codes(reader: Reader, error_codes: ErrorCodes | None = None) -> Json:
    api = ErrorCodesApi(lambda: reader, error_codes or ErrorCodes(), RETENTION, lambda: NOW)
    return document(described(api.list(http_request("GET", "/error-codes")), "GET", "/error-codes"))


def row(shown: Json, code: str) -> Json:
    found: Json = next(each for each in shown["value"] if each["code"] == code)
    return found


def test_a_code_is_shown_with_what_is_known_of_it_and_its_own_success() -> None:
    healed, failed = (met("usererrormissingrequiredpermissions", each) for each in (Status.HEALED, Status.FAILED))
    shown = row(get_codes(Reader(healed, failed)), "UserErrorMissingRequiredPermissions")
    assert {name: shown[name] for name in ("class", "role", "scope", "seen", "ended", "healed", "successRate")} == {
        "class": "Person",
        "role": "Storage Account Backup Contributor",
        "scope": "Datasource",
        "seen": 2,
        "ended": 2,
        "healed": 1,
        "successRate": 0.5,
    }


def test_without_history_the_table_is_shown_all_the_same() -> None:
    shown = get_codes(Reader())
    assert shown["since"] is None
    assert row(shown, "CloudInternalError")["successRate"] is None


def test_an_unknown_code_is_named_so_that_the_table_can_grow() -> None:
    shown = get_codes(Reader(met("UserErrorBrandNew", Status.UNHEALTHY)))
    assert shown["unknownCodes"] == [
        {"code": "UserErrorBrandNew", "seen": 1, "ended": 1, "healed": 0, "successRate": 0.0}
    ]


def test_a_users_own_entry_is_shown_first() -> None:
    own = read_entries('[{"codes": ["UserErrorOurs"], "class": "Job", "whatToDo": "Nothing."}]')
    assert get_codes(Reader(), ErrorCodes(own))["value"][0]["code"] == "UserErrorOurs"


def test_the_whole_history_that_is_kept_is_counted() -> None:
    reader = Reader()
    get_codes(reader)
    assert reader.asked == [NOW - RETENTION]
