"""Output bindings of functions."""

from typing import Generic, TypeVar

import azure.functions as func

Value = TypeVar("Value")


class OutputBinding(func.Out[Value], Generic[Value]):
    """Keeps what a function sets."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def set(self, value: Value) -> None:
        self.values.append(value)

    def get(self) -> Value:
        return self.values[-1]
