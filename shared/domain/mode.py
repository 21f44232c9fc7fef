"""The mode of the app: whether it heals, or only says what it would do. Pure, and light: settings read it at start."""

from enum import StrEnum


class Mode(StrEnum):
    """The setting `MODE`: whether the app heals what fails."""

    HEAL = "Heal"
    OBSERVE = "Observe"
    """It reads, judges and records, and makes no call that changes anything."""
    PAUSED = "Paused"
    """It takes up no signal; what runs is polled to its end, and the next attempts wait."""
