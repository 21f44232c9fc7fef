"""How the parts are put together, each when a trigger first asks for it. May import everything below.

Six modules, each imported when it is first used: storage, identity, HTTP and validation libraries cost a cold start
several times what `azure.functions` does, and most starts need only some of them.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from shared.composition import api, dashboard, healing, reports, signed_in, stores

__all__ = ["api", "dashboard", "healing", "reports", "settings", "signed_in", "stores"]


@cache
def settings() -> Settings:
    """The app's settings; `shared.settings.InvalidSettings` stops the app at start."""
    return Settings.from_environment()


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(name)
    return import_module(f"{__name__}.{name}")
