"""Route templates, without a host."""

import pytest

from dev.functions_host.routes import compile_template
from dev.functions_host.settings import ConfigurationError


@pytest.mark.parametrize(
    ("template", "path"), [("api/items/{id}", "api/items/a-b"), ("api/{*rest}", "api/a/b/c"), ("api/{*rest}", "api")]
)
def test_template_takes_the_path(template: str, path: str) -> None:
    assert compile_template(template)[0].fullmatch(path)


@pytest.mark.parametrize(
    ("template", "path"),
    [("api/items/{id}", "api/items"), ("api/items/{id}", "api/items/a/b"), ("api/a.b", "api/aXb")],
)
def test_template_does_not_take_the_path(template: str, path: str) -> None:
    assert not compile_template(template)[0].fullmatch(path)


def test_more_literal_templates_come_first() -> None:
    templates = ["a/{*rest}", "a/{x}", "a/b"]
    assert sorted(templates, key=lambda template: compile_template(template)[1]) == templates[::-1]


@pytest.mark.parametrize("template", ["api/{id:int}", "api/{id?}", "api/{id", "api/id}"])
def test_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError):
        compile_template(template)
