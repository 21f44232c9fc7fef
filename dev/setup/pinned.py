"""Folders below `.dev`, each with packages installed as a file of pins in the repository says. Stdlib only."""

import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PinnedFolder:
    """One such folder. A stamp in it holds a hash of the pins, so that another start costs two file reads."""

    path: Path
    pins: Path
    """The file that names every version."""
    proof: Path
    """The installed file that is used."""
    platform: str = sys.platform
    """Anything else that the installation depends on; a checkout may be shared between two systems."""

    def is_installed(self) -> bool:
        """Whether the packages are there, complete and as pinned."""
        stamp = self.path / "stamp"
        return self.proof.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == self._digest()

    def clear(self) -> None:
        """Begin an installation: an empty folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        """End an installation that has succeeded."""
        (self.path / "stamp").write_text(self._digest(), encoding="utf-8")

    def _digest(self) -> str:
        return hashlib.sha256(self.pins.read_bytes() + self.platform.encode()).hexdigest()
