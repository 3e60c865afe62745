"""A small identity provider (OpenID Connect) on loopback: discovery, token and userinfo endpoints, signed ID tokens.

The person's own visit to the provider is `Provider.visit`: what a browser would do there, without the pages.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "triage", "a secret of the registration"
PERSON = {"sub": "1", "preferred_username": "Olga", "name": "Olga Idp", "groups": ["polit-analysts", "staff"]}


class Provider:
    """`claims` are put into the next ID token, `userinfo` is what the userinfo endpoint tells; `spoil` changes the
    token before it is signed, `key` signs it, `up` is whether the provider answers at all."""

    def __init__(self) -> None:
        self.algorithm = "RS256"
        self.key: Any = RSAKey.generate_key(2048, {"kid": "1"})
        self.published = self.key
        self.claims: dict[str, Any] = dict(PERSON)
        self.userinfo: dict[str, Any] = {}
        self.spoil: dict[str, Any] = {}
        self.issuer_said = ""
        self.algorithms = ["RS256", "HS256", "none"]
        self.up = True
        self.asked: dict[str, dict[str, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def visit(self, url: str) -> str:
        """The person signs in at the address that the console sent them to; returns where the provider sends them."""
        parts = urlsplit(url)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self.asked.pop(form.get("code", ""), None)
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or authorization != f"Basic {expected}":
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        text = jwt.encode({"alg": self.algorithm, "kid": self.key.kid}, claims | self.claims | self.spoil, self.key)
        return 200, {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": text}

    def answer(self, method: str, path: str, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        if not self.up:
            return 500, {}
        if (method, path) == ("POST", "/token"):
            return self._token(form, authorization)
        if path == "/userinfo":
            return (200, self.userinfo) if authorization == "Bearer at" else (401, {})
        if path == "/jwks":
            return 200, {"keys": [self.published.as_dict(private=False)]}
        assert path == "/.well-known/openid-configuration"
        there = {"issuer": self.issuer_said or self.issuer, "id_token_signing_alg_values_supported": self.algorithms}
        for name, at in (
            ("authorization_endpoint", "authorize"),
            ("token_endpoint", "token"),
            ("userinfo_endpoint", "userinfo"),
            ("jwks_uri", "jwks"),
        ):
            there[name] = f"{self.issuer}/{at}"
        return 200, there

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve("GET", {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._serve("POST", {name: values[0] for name, values in parse_qs(body).items()})

            def _serve(self, method: str, form: dict[str, str]) -> None:
                status, data = provider.answer(method, self.path, form, self.headers.get("authorization", ""))
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Handler
