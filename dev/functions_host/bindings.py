"""From a decorated function to what the host needs to call it: triggers, outputs, converters, types.

The rules are those of Azure's own Python worker (`azure_functions_runtime.functions` and `.bindings.meta`
1.3): the same converter is chosen for the same annotation, and what the worker refuses is refused here, so
that an app that loads locally loads in Azure. Functions are found through the library's public index.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dev.functions_host.settings import ConfigurationError, resolve_settings

TRIGGERS = ("httpTrigger", "queueTrigger", "timerTrigger", "eventGridTrigger")
OUTPUTS = ("http", "queue")
_OUT = 1  # azure.functions.decorators.core.BindingDirection.OUT, as Binding.direction gives it


class FunctionLoadError(ConfigurationError):
    """A function that Azure's worker would refuse to load, or that needs a binding unknown to this host."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"cannot load the {function} function: {reason}")


class GenericConverter:
    """How the worker passes `str` and `bytes` when no converter of the library applies."""

    @classmethod
    def has_trigger_support(cls) -> bool:
        """A generic parameter gets no trigger metadata."""
        return False

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        """Text and bytes only."""
        return issubclass(pytype, (str, bytes))

    @classmethod
    def check_output_type_annotation(cls, pytype: type) -> bool:
        """Text and bytes only."""
        return issubclass(pytype, (str, bytes, bytearray))

    @classmethod
    def encode(cls, obj: Any, *, expected_type: type | None) -> Datum:
        """Wrap what the function set or returned; raises NotImplementedError for other types."""
        if obj is None:
            return Datum(None, None)
        if isinstance(obj, str):
            return Datum(obj, "string")
        if isinstance(obj, (bytes, bytearray)):
            return Datum(bytes(obj), "bytes")
        raise NotImplementedError

    @classmethod
    def decode(cls, data: Datum, *, trigger_metadata: Mapping[str, Datum]) -> Any:
        """Hand over the value as it came."""
        return data.value


@dataclass(frozen=True)
class Port:
    """One end of a function: a binding's type and properties with the converter for its Python type."""

    name: str
    type: str
    properties: Mapping[str, Any]
    converter: Any
    pytype: Any


@dataclass(frozen=True)
class LocalFunction:
    """A function that is ready to be called; `properties` have their %SETTING%s resolved."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    wants_context: bool
    directory: str
    trigger: Port
    outputs: Mapping[str, Port]
    returns: Port | None

    def decode(self, datum: Datum, metadata: Mapping[str, Datum]) -> Any:
        """The trigger's argument; raises TypeError or ValueError when the converter does not take it."""
        given = metadata if self.trigger.converter.has_trigger_support() else {}
        try:
            return self.trigger.converter.decode(datum, trigger_metadata=given)
        except NotImplementedError:
            raise TypeError(f"the {self.trigger.type} converter does not take {datum.type!r} data") from None


def encode_output(port: Port, value: Any) -> Datum:
    """A function's output as the library hands it to the host; raises TypeError for a type it cannot send."""
    try:
        datum: Datum = port.converter.encode(value, expected_type=port.pytype)
    except NotImplementedError:
        kind = type(value).__name__
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "{port.type}" for Python type "{kind}"'
        ) from None
    return datum


def index_app(module_name: str = "function_app") -> list[Any]:
    """Import the app and return the library's Function objects; raises ConfigurationError without an app."""
    module = importlib.import_module(module_name)
    registers = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(registers) != 1:
        found = "no" if not registers else "more than one"
        raise ConfigurationError(f"{module_name} has {found} top level function app instance")
    return list(registers[0].get_functions())


def load_function(function: Any, environment: Mapping[str, str]) -> LocalFunction:
    """Turn one indexed function into a LocalFunction.

    Raises FunctionLoadError where the worker would, or for a binding that this host does not serve;
    plain ConfigurationError for a %SETTING% that is not set.
    """
    name = str(function.get_function_name())
    user_function = function.get_user_function()
    annotations = typing.get_type_hints(user_function)
    parameters = list(inspect.signature(user_function).parameters)
    bindings = {binding.name: binding for binding in function.get_bindings()}
    wants_context = "context" in parameters and "context" not in bindings
    if wants_context:
        parameters.remove("context")
    _check_names(name, parameters, [bound for bound in bindings if bound != "$return"])
    inputs, outputs = [], {}
    for parameter in parameters:
        port = _parameter_port(name, bindings[parameter], annotations.get(parameter), environment)
        if bindings[parameter].direction == _OUT:
            outputs[parameter] = port
        else:
            inputs.append(port)
    if len(inputs) != 1 or inputs[0].name != function.get_trigger().name:
        raise FunctionLoadError(name, "this host passes the trigger and no other input binding")
    return LocalFunction(
        name=name,
        call=user_function,
        is_async=inspect.iscoroutinefunction(user_function),
        wants_context=wants_context,
        directory=str(Path(inspect.getfile(user_function)).parent),
        trigger=inputs[0],
        outputs=outputs,
        returns=_return_port(name, bindings.get("$return"), annotations, environment),
    )


def _check_names(function: str, parameters: Sequence[str], bound: Sequence[str]) -> None:
    unbound, unused = sorted(set(parameters) - set(bound)), sorted(set(bound) - set(parameters))
    if unbound:
        raise FunctionLoadError(function, f"parameters without a binding: {', '.join(unbound)}")
    if unused:
        raise FunctionLoadError(function, f"bindings without a parameter: {', '.join(unused)}")


def _parameter_port(function: str, binding: Any, annotation: Any, environment: Mapping[str, str]) -> Port:
    is_output = binding.direction == _OUT
    pytype, annotated_out = _unwrap_out(annotation)
    if annotation is not None and annotated_out != is_output:
        direction = "out" if is_output else "in"
        reason = f"{binding.name} has direction {direction} but is annotated {annotation!r}"
        raise FunctionLoadError(function, reason)
    if binding.type not in (OUTPUTS if is_output else TRIGGERS):
        raise FunctionLoadError(function, f"the local host has no {binding.type} binding")
    converter = _converter(binding.type, pytype)
    check = converter.check_output_type_annotation if is_output else converter.check_input_type_annotation
    if pytype is not None and not check(pytype):
        raise FunctionLoadError(function, f"{binding.type} binding {binding.name} does not match {pytype!r}")
    return Port(binding.name, binding.type, _properties(binding, environment), converter, pytype)


def _return_port(
    function: str, binding: Any, annotations: Mapping[str, Any], environment: Mapping[str, str]
) -> Port | None:
    if binding is None:
        return None
    if binding.type not in OUTPUTS:
        raise FunctionLoadError(function, f"the local host has no {binding.type} binding")
    pytype = annotations.get("return")
    converter = _library_converter(binding.type)
    if "return" in annotations and not isinstance(pytype, type):
        raise FunctionLoadError(function, f"has invalid non-type return annotation {pytype!r}")
    if pytype is not None and not converter.check_output_type_annotation(pytype):
        reason = f"return annotation {pytype!r} does not match binding type {binding.type}"
        raise FunctionLoadError(function, reason)
    return Port("$return", binding.type, _properties(binding, environment), converter, pytype)


def _unwrap_out(annotation: Any) -> tuple[Any, bool]:
    """`Out[T]` → (T, True); the worker recognises Out by its name, not by the class."""
    origin = typing.get_origin(annotation) or annotation
    if isinstance(origin, type) and origin.__name__ == "Out":
        arguments = typing.get_args(annotation)
        return (arguments[0] if arguments else None), True
    return annotation, False


def _converter(binding_type: str, pytype: Any) -> Any:
    converter = _library_converter(binding_type)
    # The worker's rule: plain text and bytes bypass the binding's own class, unless that class also
    # speaks for the function's return value.
    implicit_output = getattr(converter, "has_implicit_output", None)
    if pytype in (str, bytes) and not (implicit_output is not None and implicit_output()):
        return GenericConverter
    return converter


def _library_converter(binding_type: str) -> Any:
    # The registry is a metaclass that the library leaves untyped.
    library: Any = func
    return library.get_binding_registry().get(binding_type) or GenericConverter


def _properties(binding: Any, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        key: resolve_settings(value, environment) if type(value) is str else value
        for key, value in binding.get_dict_repr().items()
    }
