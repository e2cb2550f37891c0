"""The OpenAPI document against the server: schemathesis makes up requests by it and checks every answer."""

import os

import pytest
import schemathesis
from conftest import Server
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

#: Requests made up for each operation; the whole must stay within a minute or two.
EXAMPLES = int(os.environ.get("PITT_EXAMPLES", "8"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("scope", [None, "admin"])
def test_every_operation_answers_as_the_document_says(alone: Server, scope: str | None):
    """Without a token what only reads is tried; with one what changes something, too."""
    headers = {"Authorization": f"Bearer {alone.token(scope)}"} if scope else {}
    document = schemathesis.openapi.from_url(f"{alone.api}/openapi.json")
    tried = 0
    for result in document.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def check(case):
            case.call_and_validate(checks=CHECKS, headers=headers)

        check()
        tried += 1
    assert tried > 50
