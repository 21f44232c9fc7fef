"""autoheal.py: what it sends where, and how it ends."""

import ast
import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autoheal
from autoheal import DONE, NO_ANSWER, NOT_IN_TIME, NOT_WELL, REFUSED, USAGE, main, shown
from tests.support.remediations import INSTANCE
from tests.support.scripted_server import ScriptedServer, scripted_server

KEY = "a-key"
ROW = {
    "id": "0123456789ab-0123456789abcdef",
    "status": "Healed",
    "openedAt": "2026-01-02T03:04:05Z",
    "backupInstanceId": str(INSTANCE),
    "source": "Request",
    "reason": "asked",
    "attempts": [],
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def run(server: ScriptedServer, *arguments: str, **answer: Any) -> tuple[int, str]:
    """Exit code and output of a command, while the app gives this answer."""
    if answer:
        server.script([{"status": 200, **answer}])
    out = io.StringIO()
    environment = {"AUTOHEAL_URL": f"http://127.0.0.1:{server.port}", "AUTOHEAL_KEY": KEY}
    return main(arguments, environment, out, sleep=lambda seconds: None), out.getvalue()


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(autoheal.__file__).read_text(encoding="utf-8"))
    names = {each.names[0].name for each in ast.walk(tree) if isinstance(each, ast.Import)}
    names |= {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "url",
    ["", "http://app.example", "ftp://localhost", "https://", "https://me:x@app.example", "https://[", "https://a:x"],
)
def test_a_key_goes_nowhere_but_to_https_or_this_machine(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"], {"AUTOHEAL_URL": url, "AUTOHEAL_KEY": KEY}) == USAGE
    assert "AUTOHEAL_URL" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["list", "--top", "many"], ["heal"], ["sync"]])
def test_wrong_usage_is_told_in_a_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, {}) == USAGE
    assert "usage:" in capsys.readouterr().err


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    with scripted_server() as other:
        other.script([{"status": 200, "body": {}}])
        location = f"http://127.0.0.1:{other.port}/"
        assert run(server, "list", status=302, headers={"Location": location}, body={})[0] == REFUSED
        assert other.requests == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"status": 401, "text": ""}, REFUSED),
        ({"status": 404, "body": {"error": {"code": "NotFound", "message": "no such remediation"}}}, REFUSED),
        ({"status": 503, "text": "<html>"}, NO_ANSWER),
        ({"text": "<html>"}, REFUSED),
        ({"body": {"value": 5}}, NO_ANSWER),
        ({"body": {}, "cut": 1}, NO_ANSWER),
    ],
)
def test_what_is_no_answer_ends_with_a_code_that_says_so(
    server: ScriptedServer, answer: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "list", **answer)[0] == code
    told = capsys.readouterr().err
    assert told.strip()
    assert KEY not in told


def test_the_pages_of_a_list_come_from_one_place(server: ScriptedServer) -> None:
    elsewhere = {"value": [ROW], "nextLink": "https://evil.example/api/remediations?status=Failed&continuation=abc"}
    server.script([{"status": 200, "body": elsewhere}, {"status": 200, "body": {"value": [ROW], "nextLink": None}}])
    code, output = run(server, "list", "--status", "Failed", "--json")
    assert (code, len(json.loads(output))) == (DONE, 2)
    assert [target for _, target, _ in server.requests] == [
        "/api/remediations?status=Failed&top=50",
        "/api/remediations?status=Failed&continuation=abc&top=49",
    ]
    assert {headers["x-functions-key"] for *_, headers in server.requests} == {KEY}


def test_foreign_text_is_no_command_to_the_terminal(server: ScriptedServer) -> None:
    hostile = {**ROW, "error": {"code": "\x1b[2J", "message": "\x1b]0;x\x07"}}
    _, output = run(server, "show", str(ROW["id"]), body=hostile)
    assert "\x1b" not in output
    assert shown("a\u202eb\n") == "a\ufffdb\ufffd"


@pytest.mark.parametrize(("status", "code"), [("Healed", DONE), ("Recovering", DONE), ("Failed", NOT_WELL)])
def test_a_heal_that_is_waited_for_ends_as_its_remediation(server: ScriptedServer, status: str, code: int) -> None:
    queued = {"status": 202, "headers": {"Retry-After": "7"}, "body": {**ROW, "status": "Queued"}}
    away = {"status": 503, "text": ""}
    server.script([queued, away, {"status": 200, "body": {**ROW, "status": status}}])
    assert run(server, "heal", str(INSTANCE), "--wait")[0] == code
    assert [method for method, *_ in server.requests] == ["POST", "GET", "GET"]


def test_a_heal_that_takes_too_long_says_so(server: ScriptedServer) -> None:
    code, _ = run(server, "heal", str(INSTANCE), "--wait", "--timeout", "0", body={**ROW, "status": "Running"})
    assert code == NOT_IN_TIME


def report(*lines: list[str]) -> str:
    """The report that the app makes of these cells."""
    text, previous = io.StringIO(), "0" * 64
    writer = csv.writer(text)
    writer.writerow(["endedAt", "errorCode", "previousHash", "hash"])
    for cells in lines:
        digest = hashlib.sha256(json.dumps([previous, *cells], separators=(",", ":")).encode()).hexdigest()
        writer.writerow([*cells, previous, digest])
        previous = digest
    return text.getvalue()


LINES = [
    ["2026-01-01T00:00:00.000Z", "a,b"],
    ["2026-01-02T00:00:00.000Z", "\N{SNOWMAN}\r\nx"],
]


def verified(tmp_path: Path, *texts: str) -> tuple[int, str]:
    files = [tmp_path / f"{number}.csv" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8", newline="")
    out = io.StringIO()
    return main(["verify", *map(str, files)], {}, out), out.getvalue()


def test_reports_as_they_were_are_verified_without_a_key(tmp_path: Path) -> None:
    code, output = verified(tmp_path, report(*LINES))
    assert (code, "2 of 2 outcomes have a hash, which holds" in output) == (DONE, True)


@pytest.mark.parametrize("text", ["x;=1+1", "x;'=1+1", "\t=1"])
def test_a_report_of_an_earlier_version_whose_cells_hold_formulas_is_verified(tmp_path: Path, text: str) -> None:
    assert verified(tmp_path, report(*LINES, [LINES[0][0], text]))[0] == DONE


@pytest.mark.parametrize(
    "change", [("a,b", "a,c"), ("2026-01-02", "2026-01-03"), ("0" * 64, "1" * 64)], ids=["text", "time", "hash"]
)
def test_a_report_that_was_changed_is_broken_there(tmp_path: Path, change: tuple[str, str]) -> None:
    code, output = verified(tmp_path, report(*LINES).replace(*change))
    assert (code, "broken at outcome" in output) == (NOT_WELL, True)


def test_a_report_without_one_of_its_lines_is_broken(tmp_path: Path) -> None:
    header, _, *rest = report(*LINES, LINES[0]).splitlines(keepends=True)
    first = report(*LINES).splitlines(keepends=True)[1]
    assert verified(tmp_path, "".join([header, first, rest[-1]]))[0] == NOT_WELL


def test_reports_that_do_not_follow_each_other_are_broken(tmp_path: Path) -> None:
    assert verified(tmp_path, report(LINES[0]), report(LINES[1]))[0] == NOT_WELL


@pytest.mark.parametrize("text", ["a,b\r\n", "\0"])
def test_what_is_no_report_is_told(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(tmp_path, text)[0] == USAGE
    assert "0.csv" in capsys.readouterr().err
