"""Route templates, without a host."""

from __future__ import annotations

import pytest

from dev.functions_host.routes import compile_template
from dev.functions_host.settings import ConfigurationError


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("api/items/{id}", "api/items/a-b"),
        ("api/items/{id?}", "api/items"),
        ("api/{*rest}", "api/a/b/c"),
        ("api/{name}.{extension}", "api/report.pdf"),
        ("api/{id:guid}", "api/04cf684a-d41f-4550-9f70-7708a3a2283b"),
        ("api/{word:alpha}", "api/abc"),
        ("api/{flag:bool}", "api/True"),
    ],
)
def test_template_takes_the_path(template: str, path: str) -> None:
    assert compile_template(template)[0].fullmatch(path)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("api/items/{id}", "api/items"),
        ("api/items/{id}", "api/items/a/b"),
        ("api/{id:int}", "api/4.5"),
        ("api/{id:guid}", "api/not-a-guid"),
        ("api/a.b", "api/aXb"),
    ],
)
def test_template_does_not_take_the_path(template: str, path: str) -> None:
    assert not compile_template(template)[0].fullmatch(path)


def test_more_literal_templates_come_first() -> None:
    templates = ["a/{*rest}", "a/{x}", "a/{x:int}", "a/b"]
    assert sorted(templates, key=lambda template: compile_template(template)[1]) == templates[::-1]


@pytest.mark.parametrize("template", ["api/{id:range(1,2)}", "api/{id", "api/id}"])
def test_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError):
        compile_template(template)
