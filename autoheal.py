#!/usr/bin/env python3
"""The app from a terminal: `list`, `show`, `heal`, `doctor` and `verify`. One file, for Python 3.11 or later alone.

    export AUTOHEAL_URL=https://<function app>.azurewebsites.net AUTOHEAL_KEY=<function key>
    python3 autoheal.py doctor

The key comes from the environment only, so that no shell's history has it. It goes to AUTOHEAL_URL alone: over https,
unless that is this machine, and never along with a redirect.

Exit codes: 0 done, or healed, or all is well; 1 not healed, or not well; 2 wrong usage; 3 refused by the app;
4 no answer of the app; 5 not ended in time.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any, NoReturn, TextIO
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

Json = dict[str, Any]
DONE, NOT_WELL, USAGE, REFUSED, NO_ANSWER, NOT_IN_TIME = range(6)
_REQUEST_TIMEOUT = 60
"""Seconds."""
_MAX_PAGE = 200
_MAX_RETRY_AFTER = 60
_HEALED = frozenset({"Healed", "Recovering", "Recovered"})
_UNDER_WAY = frozenset({"Queued", "Running", "Verifying", "WaitingToRetry"})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_CELL_WITHIN = re.compile(r"""([;\t\r\n])'(?=[ "']*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])""")
"""Where a formula would begin within a cell of a report; the apostrophe before it is not part of what is hashed."""


class Stop(Exception):
    """The command ends with this exit code and message."""

    def __init__(self, code: int, message: str) -> None:
        """Tell the message on standard error."""
        super().__init__(message)
        self.code = code


class Api:
    """Calls of the app's HTTP API. Raises `Stop` where it refuses (3) or does not answer (4)."""

    def __init__(self, url: str, key: str) -> None:
        """Call the app at this URL with this key.

        Raises:
            Stop: the URL is none that a key may go to.
        """
        try:
            parts = urlsplit(url if "//" in url else f"https://{url}")
            _ = parts.port  # raises ValueError for one that is none
        except ValueError as cause:
            raise Stop(USAGE, f"AUTOHEAL_URL is no URL: {cause}") from cause
        is_local = parts.hostname in _LOCAL
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_local)
        if not parts.hostname or parts.username or not is_safe:
            raise Stop(USAGE, "AUTOHEAL_URL has to be the https URL of the function app")
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._key = key
        self._opener = build_opener(_NoRedirects)

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        accept: Sequence[int] = (200, 202),
    ) -> tuple[Json, float]:
        """The response's document, and the seconds to wait before the next call.

        Args:
            accept: HTTP statuses that are an answer; any other one ends the command.
        """
        url = f"{self._base}/api/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"x-functions-key": self._key, "Accept": "application/json", "Content-Type": "application/json"}
        request = Request(url, json.dumps(body).encode() if body is not None else None, headers, method=method)
        try:
            with self._open(request) as response:
                status, text, wait = response.status, response.read(), response.headers.get("Retry-After")
        except (OSError, HTTPException, ValueError) as cause:
            raise Stop(NO_ANSWER, f"no answer from {self._base}: {cause}") from cause
        document = _read_object(text)
        if status in accept and document is not None:
            return document, _seconds(wait)
        raise Stop(NO_ANSWER if status >= 500 or status == 429 else REFUSED, _refusal(status, document))

    def _open(self, request: Request) -> HTTPResponse:
        try:
            response: HTTPResponse = self._opener.open(request, timeout=_REQUEST_TIMEOUT)
            return response
        except HTTPError as refusal:
            return refusal  # type: ignore[return-value] # it has status, headers and read as well


class _NoRedirects(HTTPRedirectHandler):
    """The key goes nowhere else: a redirect is an answer that is none."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _read_object(text: bytes) -> Json | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refusal(status: int, document: Json | None) -> str:
    error = (document or {}).get("error")
    if isinstance(error, dict):
        return f"{error.get('code')}: {error.get('message')}"
    if status == 401:
        return "401: the key in AUTOHEAL_KEY is none of this app"
    return f"the app answered with {status}"


def _seconds(header: str | None) -> float:
    text = header or ""
    return float(min(int(text), _MAX_RETRY_AFTER)) if text.isascii() and text.isdigit() and len(text) < 9 else 5.0


def shown(value: object) -> str:
    """The value as a terminal may have it: foreign text is data, not a command to the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))


class Command:
    """One run: what was asked for, the app, and where the answer goes."""

    def __init__(self, options: argparse.Namespace, api: Api, out: TextIO, sleep: Callable[[float], None]) -> None:
        """Write to `out`; wait with `sleep`."""
        self._options = options
        self._api = api
        self._out = out
        self._sleep = sleep

    def run(self) -> int:
        """Carry it out; returns the exit code."""
        commands = {"list": self._list, "show": self._show, "heal": self._heal, "doctor": self._doctor}
        code: int = commands[self._options.command]()
        return code

    def _say(self, text: object = "") -> None:
        print(shown(text), file=self._out)

    def _json(self, document: object) -> None:
        print(json.dumps(document, indent=2), file=self._out)

    def _list(self) -> int:
        options, rows = self._options, list[Json]()
        given = {"status": options.status, "vault": options.vault, "errorCode": options.code, "text": options.text}
        query = {name: value for name, value in {**given, "subscriptionId": options.subscription}.items() if value}
        if options.attention:
            query["needsAttention"] = "true"
        while len(rows) < options.top:
            top = str(min(options.top - len(rows), _MAX_PAGE))
            page, _ = self._api.call("GET", "remediations", {**query, "top": top})
            rows += page.get("value") or []
            following = urlsplit(page.get("nextLink") or "").query
            if not following:
                break
            # Only the place is taken from the link: where to call is what AUTOHEAL_URL says.
            query["continuation"] = parse_qs(following).get("continuation", [""])[0]
        if options.json:
            self._json(rows)
            return DONE
        for row in rows:
            code = (row.get("error") or {}).get("code", "")
            mark = "!" if row.get("attention") else " "
            self._say(f"{mark} {row['status']:15} {row['openedAt'][:19]}  {row['id']}  {_name(row)}  {code}".rstrip())
        if not rows:
            self._say("Nothing.")
        return DONE

    def _show(self) -> int:
        remediation = self._find(self._options.what)
        if self._options.json:
            self._json(remediation)
        else:
            self._tell(remediation)
        return DONE

    def _find(self, what: str) -> Json:
        """The remediation with this id, or the latest of the instance with this ARM id."""
        if not what.startswith("/"):
            return self._api.call("GET", f"remediations/{quote(what, safe='')}")[0]
        found, _ = self._api.call("GET", "remediations", {"backupInstanceId": what, "top": "1"})
        if not found.get("value"):
            raise Stop(REFUSED, f"NotFound: nothing was ever done for {what}")
        latest: Json = found["value"][0]
        return latest

    def _heal(self) -> int:
        options = self._options
        body: Json = {"backupInstanceId": options.instance}
        body |= {"reason": options.reason} if options.reason else {}
        body |= {"force": True} if options.force else {}
        body |= {"syncType": "ForceResync"} if options.force_resync else {}
        if options.dry_run:
            return self._dry_run(body)
        remediation, wait = self._api.call("POST", "sync", None, body)
        if options.wait:
            remediation = self._follow(remediation, wait)
        if options.json:
            self._json(remediation)
        else:
            self._tell(remediation)
        return NOT_WELL if options.wait and remediation["status"] not in _HEALED else DONE

    def _dry_run(self, body: Json) -> int:
        preview, _ = self._api.call("POST", "sync", {"dryRun": "true"}, body)
        if self._options.json:
            self._json(preview)
        else:
            self._say(f"{preview['action']}: {preview['policy']['reason']}")
            if azure := preview.get("azure"):
                self._say(f"Azure: {azure['answer']}: {azure['reason']}")
                self._say_error(azure.get("error"))
                if azure.get("whatToDo"):
                    self._say(f"To do: {azure['whatToDo']}")
        return DONE if preview["action"] in ("Open", "Coalesce") else NOT_WELL

    def _follow(self, remediation: Json, wait: float) -> Json:
        """The remediation once it has ended; an app that does not answer for a while is asked again."""
        deadline, told = time.monotonic() + self._options.timeout, ""
        while remediation["status"] in _UNDER_WAY:
            if remediation["status"] != told and not self._options.json:
                told = remediation["status"]
                self._say(f"{told} ...")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Stop(NOT_IN_TIME, f"remediation {remediation['id']} is still {remediation['status']}")
            self._sleep(min(wait, left))
            try:
                remediation, wait = self._api.call("GET", f"remediations/{remediation['id']}")
            except Stop as stop:
                if stop.code != NO_ANSWER:
                    raise
        return remediation

    def _tell(self, remediation: Json) -> None:
        self._say(f"{remediation['status']}  remediation {remediation['id']}")
        self._say(f"instance   {remediation['backupInstanceId']}")
        self._say(f"opened     {remediation['openedAt']}  by {remediation['source']}: {remediation['reason']}")
        for attempt in remediation["attempts"]:
            end = attempt.get("endedAt") or "not ended"
            self._say(f"attempt {attempt['number']:<2} {attempt['queuedAt']} to {end}  {attempt['syncType']}")
        if remediation.get("dueAt"):
            self._say(f"next check {remediation['dueAt']}")
        self._say_error(remediation.get("error"))
        if attention := remediation.get("attention"):
            self._say(f"Needs attention since {attention['since']}: {attention['reason']}")
        if step := remediation.get("nextStep"):
            self._say(f"To do: {step['text']}")
            if step.get("command"):
                self._say(f"  {step['command']}")

    def _say_error(self, error: Json | None) -> None:
        if error:
            self._say(f"error      {error.get('code')}: {error.get('message')}")

    def _doctor(self) -> int:
        health, _ = self._api.call("GET", "health", accept=(200, 503))
        status, _ = self._api.call("GET", "status")
        if self._options.json:
            self._json({"health": health, "status": status})
            return DONE if health["status"] == "ok" else NOT_WELL
        self._say(f"{health['status']}  version {health['version']}, mode {health['mode']}")
        for name, check in health["checks"].items():
            self._say(f"{check['status']:12} {name}" + (f": {check['reason']}" if check.get("reason") else ""))
        watched = status["subscriptions"]
        for name, value in {
            "last poll run": (status["lastPollRun"] or {}).get("at"),
            "last sweep": (status["lastSweep"] or {}).get("at"),
            "subscriptions": f"{watched['readable']} of {watched['watched']} can be read",
            "instances": status["instances"],
            "queue": f"{(status['queue'] or {}).get('depth')}, {(status['queue'] or {}).get('poisonDepth')} given up",
        }.items():
            self._say(f"{name:12}  {'not known' if value is None else value}")
        return DONE if health["status"] == "ok" else NOT_WELL


def _name(remediation: Json) -> str:
    """Vault and name of the instance."""
    segments = str(remediation["backupInstanceId"]).split("/")
    return "/".join(segments[-3::2]) if len(segments) > 3 else segments[-1]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Stop(USAGE, f"{message}\n{self.format_usage().strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="autoheal", description="Lists, shows and heals backup instances with Backup Autoheal.")
    parser.epilog = "AUTOHEAL_URL is the app's URL, AUTOHEAL_KEY a function key."
    commands = parser.add_subparsers(dest="command", required=True)
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="the app's own answer, as JSON")
    listing = commands.add_parser("list", parents=[common], help="the newest remediations; ! needs attention")
    listing.add_argument("--attention", action="store_true", help="only instances that need attention now")
    listing.add_argument("--status", help="only these, separated by commas, such as Failed,Rejected")
    listing.add_argument("--vault", help="only of this vault, a name or an ARM id")
    listing.add_argument("--code", help="only with this error code")
    listing.add_argument("--subscription", help="only of this subscription, an id")
    listing.add_argument("--text", help="only with this text in a name or the code")
    listing.add_argument("--top", type=int, default=50, help="how many at most (default 50)")
    show = commands.add_parser("show", parents=[common], help="one remediation, and what is to be done")
    show.add_argument("what", help="a remediation's id, or the ARM id of a backup instance, for its latest one")
    heal = commands.add_parser("heal", parents=[common], help="heal a backup instance")
    heal.add_argument("instance", help="its ARM id")
    heal.add_argument("--wait", action="store_true", help="until it has ended; exit code 0 only if it is healed")
    heal.add_argument("--timeout", type=float, default=3600, help="seconds to wait (default 3600)")
    heal.add_argument("--dry-run", action="store_true", help="only say what would happen, and what Azure shows")
    heal.add_argument("--force", action="store_true", help="override cool-down and daily cap")
    heal.add_argument("--force-resync", action="store_true", help="a ForceResync, which acts on a valid instance too")
    heal.add_argument("--reason", help="for the history")
    commands.add_parser("doctor", parents=[common], help="is the app well, and what does it watch")
    verifying = commands.add_parser("verify", help="reports as CSV: is each outcome as it was")
    verifying.add_argument("file", nargs="+", help="one a month, in their order")
    return parser


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    out: TextIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Run a command; returns its exit code."""
    try:
        options = _parser().parse_args(arguments)
        if options.command == "verify":
            return verify(options.file, out or sys.stdout)
        url, key = environment.get("AUTOHEAL_URL", "").strip(), environment.get("AUTOHEAL_KEY", "").strip()
        if not url or not key:
            raise Stop(USAGE, "set AUTOHEAL_URL to the app's URL, and AUTOHEAL_KEY to a function key")
        if not key.isascii() or not key.isprintable():
            raise Stop(USAGE, "AUTOHEAL_KEY holds a character that no key has")
        return Command(options, Api(url, key), out or sys.stdout, sleep).run()
    except Stop as stop:
        print(shown_lines(stop), file=sys.stderr)
        return stop.code
    except (KeyError, TypeError, AttributeError) as cause:
        print(f"an answer of another form than the app's ({type(cause).__name__}: {shown(cause)})", file=sys.stderr)
        return NO_ANSWER
    except KeyboardInterrupt:
        return 130


def verify(files: Sequence[str], out: TextIO) -> int:
    """Follow the hash chain through reports (`GET /api/report`, `format=csv`): 0 if it holds, 1 where it breaks."""
    last = ""
    for name in files:
        try:
            with open(name, encoding="utf-8", newline="") as file:
                header, *lines = csv.reader(file, strict=True)
        except (OSError, ValueError, csv.Error) as cause:
            raise Stop(USAGE, f"{name} cannot be read: {cause}") from cause
        if header[-2:] != ["previousHash", "hash"] or any(len(line) != len(header) for line in lines):
            raise Stop(USAGE, f"{name} is no report of the app, or cut off")
        for number, (*cells, previous, claimed) in enumerate(lines, 1):
            if not claimed:  # of a day before the first seal, or that is not kept whole
                last = ""
                continue
            forms = (cells, [_CELL_WITHIN.sub(r"\1", cell) for cell in cells])  # the first is that of earlier versions
            texts = [json.dumps([previous, *form], separators=(",", ":")) for form in forms]
            hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
            if claimed not in hashes or last not in ("", previous):
                print(f"{shown(name)}: broken at outcome {number}, {shown(cells[:2])}", file=out)
                return NOT_WELL
            last = claimed
        known = sum(bool(line[-1]) for line in lines)
        print(f"{shown(name)}: {known} of {len(lines)} outcomes have a hash, which holds: {shown(last)}", file=out)
    return DONE


def shown_lines(value: object) -> str:
    """As `shown`, with its lines kept."""
    return "\n".join(map(shown, str(value).splitlines()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
