"""The models of the documents are the documents: what the schemas promise is what is sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.schemas import HealthResource, RemediationResource
from shared.domain.remediation import Remediation
from shared.domain.remediation_json import to_document
from tests.support.episodes import queued, running, verifying
from tests.unit.api.test_health import Parts
from tests.unit.api.test_outcome_schema import ENDED

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def as_sent(model: Any, document: Any) -> Any:
    """The document as it comes back from its model: without what the model does not know."""
    return model.model_validate_json(json.dumps(document)).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("remediation", [queued(), running(), verifying(), *ENDED], ids=lambda each: str(each.status))
def test_a_remediation_is_what_its_model_says(remediation: Remediation) -> None:
    document = to_document(remediation)
    assert as_sent(RemediationResource, document) == document


@given(st.dictionaries(st.text(), json_values))
def test_whatever_resource_manager_tells_of_an_error_is_kept(more: dict[str, Any]) -> None:
    document = {**to_document(queued()), "error": {**more, "code": "x", "message": "y"}}
    assert as_sent(RemediationResource, document) == document


def test_the_health_is_what_its_model_says() -> None:
    _, document = Parts().health().check()
    assert as_sent(HealthResource, document) == document
