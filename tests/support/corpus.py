"""Small files of what Azure sends, each with the right verdict beside it: `tests/corpus/<kind>/<case>.json`.

`{"source", "input", "verdict"}`: the source says where the shape was seen (a document's section, or a repository and
what in it), in our own words and with invented ids; what input and verdict hold is the kind's own. To add a file is
to add a case.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

_CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True, slots=True)
class Case:
    """One file."""

    source: str
    input: Any
    verdict: Any


def cases(kind: str) -> list[ParameterSet]:
    """All cases of a kind as parameters of a test, each named as its file is."""
    files = sorted((_CORPUS / kind).glob("*.json"))
    assert files, f"no cases in {_CORPUS / kind}"
    return [pytest.param(Case(**json.loads(file.read_text(encoding="utf-8"))), id=file.stem) for file in files]
