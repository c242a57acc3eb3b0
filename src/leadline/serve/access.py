"""Who may ask: bearer tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from fastapi import Request

from leadline.errors import ConfigError
from leadline.serve.problems import Problem


class Access:
    """Lets those in who know a token; everyone, where there are none.

    Args:
        tokens: what clients may bring, as ``Authorization: Bearer TOKEN``.

    Raises:
        ConfigError: one is empty, which anyone could bring.
    """

    def __init__(self, tokens: Sequence[str] = ()) -> None:
        if not all(token.strip() for token in tokens):
            raise ConfigError("token: an empty one keeps nobody out; leave it away, or give one")
        self._digests = [_digest(token) for token in tokens]

    @property
    def open(self) -> bool:
        """Whether anyone may ask."""
        return not self._digests

    def owner(self, request: Request) -> str:
        """Who asks: the digest of the token, so that the token itself is never stored; ``""`` where anyone may ask.

        Raises:
            Problem: 401, no token or another one.
        """
        if self.open:
            return ""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = _digest(token.strip())
        # All are compared, whichever fits: the time says nothing.
        fits = [hmac.compare_digest(given, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(fits):
            raise Problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        return given


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
