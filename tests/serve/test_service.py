"""What is not about one image or video: who may ask, what is said of the service, metrics, the page's files."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from common.served import client_of
from leadline.errors import ConfigError
from leadline.serve.access import Access
from leadline.serve.app import POLICY
from leadline.serve.limits import Limits
from leadline.serve.problems import Problem


@pytest.fixture(scope="module")
def locked(bright_teacher, tmp_path_factory):
    with client_of(bright_teacher, tmp_path_factory.mktemp("locked"), tokens=("gehe im", "zwei")) as client:
        yield client


def asked(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer no", "Basic secret", "secret", "Bearer ü"])
def test_a_wrong_token_is_told_nothing(header):
    with pytest.raises(Problem) as refused:
        Access(["secret"]).owner(asked(header))
    assert refused.value.status == 401
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("tokens", [[""], ["secret", " "]])
def test_an_empty_token_locks_nothing_and_is_refused(tokens):
    with pytest.raises(ConfigError, match="an empty one keeps nobody out"):
        Access(tokens)


def test_owners_are_told_apart_and_tokens_not_kept():
    access = Access(["one", "two"])
    first, second = access.owner(asked("Bearer one")), access.owner(asked("bearer two"))
    assert first != second
    assert "one" not in first
    assert Access().owner(asked(None)) == ""


def test_all_that_costs_or_tells_is_locked(locked, photo):
    for method, path in [("POST", "/v1/depth"), ("GET", "/v1/model"), ("GET", "/metrics"), ("GET", "/v1/video")]:
        response = locked.request(method, path, content=photo if method == "POST" else None)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"
    assert [locked.get(path).status_code for path in ("/", "/healthz", "/readyz", "/openapi.json")] == [200] * 4
    assert locked.post("/v1/depth", content=photo, headers={"authorization": "Bearer zwei"}).status_code == 200


def test_the_model_is_described(client):
    card = client.get("/v1/model").json()
    assert card["name"] == "bright"
    assert (card["kind"], card["unit"], card["licence"]) == ("scale-invariant-depth", "arbitrary", "cc-by-nc-4.0")
    assert card["points"] is True
    assert card["limits"]["image_mb"] == 20


def test_metrics_count_by_route_and_not_by_address(client, photo):
    client.post("/v1/depth", content=photo)
    for path in ("/nothing/1", "/nothing/2", f"/v1/video/{'0' * 32}"):
        assert client.get(path).status_code == 404
    text = client.get("/metrics").text
    assert 'leadline_requests_total{route="/v1/depth",status="200"}' in text
    assert 'leadline_requests_total{route="none",status="404"} 2.0' in text
    assert 'leadline_requests_total{route="/v1/video/{id}",status="404"}' in text
    assert "leadline_batch_images_bucket" in text
    assert "leadline_images_in_hand 0.0" in text


def test_the_page_and_nothing_else_of_the_disk(client):
    index = client.get("/")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.headers["content-security-policy"] == POLICY
    assert "http://" not in index.text.replace("http://www.w3.org", "")
    assert "https://" not in index.text
    for name in ("main.js", "style.css", "icon.svg"):
        assert client.get(f"/page/{name}").status_code == 200
    assert client.get("/", headers={"if-none-match": index.headers["etag"]}).status_code == 304
    for name in ("..%2fapp.py", "app.py", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00"):
        assert client.get(f"/page/{name}").status_code == 404
    assert [client.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]  # they load from a CDN


def test_methods_and_addresses_that_are_none(client):
    response = client.get("/v1/depth")
    assert (response.status_code, response.json()) == (405, {"error": "method not allowed"})
    assert response.headers["allow"] == "POST"
    assert client.get("/v2").json() == {"error": "not found"}


def test_limits_are_above_nothing():
    with pytest.raises(ConfigError, match=r"limits\.queue: must be above 0, not 0"):
        Limits(queue=0)
