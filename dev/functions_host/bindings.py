"""The app's functions with their bindings: trigger, outputs, and the library's converters of their values.

Functions are found through the public index of `azure.functions`, converters in its registry, as Azure's own
Python worker does it. Whether a function's annotations fit is the worker's check (tests/contract/worker).
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dev.functions_host.settings import ConfigurationError

_TYPES = ("httpTrigger", "queueTrigger", "timerTrigger", "eventGridTrigger", "http", "queue")


@dataclass(frozen=True)
class Binding:
    """A trigger or an output: its type and properties, and the converter between Python and the host."""

    name: str
    type: str
    properties: Mapping[str, Any]
    converter: Any

    def decode(self, datum: Datum) -> Any:
        """The argument of a triggered function; raises ValueError when the converter does not take the datum."""
        return self.converter.decode(datum, trigger_metadata={})

    def encode(self, value: Any) -> Datum:
        """A function's output as the host sends it; raises TypeError for a type that cannot be sent."""
        try:
            datum: Datum = self.converter.encode(value, expected_type=None)
        except NotImplementedError:
            kind = type(value).__name__
            raise TypeError(f'unsupported type "{self.type}" for Python type "{kind}"') from None
        return datum


@dataclass(frozen=True)
class LocalFunction:
    """A function that is ready to be called."""

    name: str
    call: Callable[..., Any]
    trigger: Binding
    outputs: Mapping[str, Binding]
    """By the name of the parameter."""
    returns: Binding | None


def load_functions(module_name: str = "function_app") -> list[LocalFunction]:
    """Import the app and load its functions.

    Raises:
        ConfigurationError: there is no app, or a function whose parameters and bindings do not fit, or with a
            binding that this host does not serve.
    """
    module = importlib.import_module(module_name)
    registers = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(registers) != 1:
        raise ConfigurationError(f"{module_name} has {len(registers)} top level function app instances, not one")
    return [_load(function) for function in registers[0].get_functions()]


def _load(function: Any) -> LocalFunction:
    name, call = str(function.get_function_name()), function.get_user_function()
    bindings = {each.name: _binding(name, each) for each in function.get_bindings()}
    returns = bindings.pop("$return", None)
    if unfit := bindings.keys() ^ inspect.signature(call).parameters.keys():
        found = ", ".join(sorted(unfit))
        raise ConfigurationError(f"cannot load the {name} function: parameter without binding or vice versa: {found}")
    trigger = bindings.pop(function.get_trigger().name)
    return LocalFunction(name, call, trigger, bindings, returns)


def _binding(function: str, binding: Any) -> Binding:
    if binding.type not in _TYPES:
        raise ConfigurationError(f"cannot load the {function} function: the local host has no {binding.type} binding")
    # The registry is a metaclass that the library leaves untyped.
    library: Any = func
    converter = library.get_binding_registry().get(binding.type)
    return Binding(binding.name, binding.type, binding.get_dict_repr(), converter)
