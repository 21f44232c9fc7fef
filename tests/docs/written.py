"""Documents that are made from the code: WRITE_DOCS=1 writes them anew, else they must be up to date."""

import os
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def assert_is_written(name: str, text: str, folder: Path = DOCS) -> None:
    """The document in docs/, or in another folder, has this text."""
    document = folder / name
    if os.environ.get("WRITE_DOCS"):
        document.write_text(text, encoding="utf-8")
    assert document.read_text(encoding="utf-8") == text, f"{name} is not up to date: WRITE_DOCS=1 writes it anew"
