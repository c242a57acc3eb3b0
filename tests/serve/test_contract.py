"""The description of the service and what it does agree: requests made from the description, valid ones and others."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.served import serving

AGREE = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def described(bright_teacher, tmp_path_factory):
    with serving(bright_teacher, tmp_path_factory.mktemp("contract")) as served:
        yield schemathesis.openapi.from_url(f"{served.url}/openapi.json")
        assert served.leftovers() == []


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_what_is_described_is_what_is_done(described, mode):
    tried = set()
    for found in described.get_all_operations():
        operation = found.ok()
        try:
            cases = operation.as_strategy(generation_mode=mode)

            @settings(max_examples=12, suppress_health_check=list(HealthCheck))
            @given(cases)
            def agree(case):
                case.call_and_validate(checks=AGREE)

            agree()
        except Unsatisfiable:
            continue  # nothing can be wrong about an operation without parameters
        tried.add(operation.label)
    assert {"POST /v1/depth", "POST /v1/video", "GET /v1/video/{id}"} <= tried
