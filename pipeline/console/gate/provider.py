"""Signing in through the force's identity provider: the authorisation code flow of OpenID Connect, by Authlib.

Switched on by TRIAGE_OIDC_ISSUER; what the provider's claims mean here is policy (`oidc` of policy/cases.yaml). State,
nonce and the PKCE verifier wait in a signed cookie of ten minutes that only the two addresses of the flow receive.
"""

from __future__ import annotations

import warnings
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.integrations.base_client import OAuthError
from fastapi import Request, Response
from joserfc.errors import JoseError

from pipeline.errors import DependencyError, PermissionDeniedError, SettingsError
from pipeline.settings import Settings

SECONDS = 600
"""How long a sign-in that was begun may take."""
COOKIE = "triage-oidc"
PATH = "/sign-in/force"

_SIGNED = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Signatures that are accepted: by a key pair, never by a shared secret and never by none."""


class Provider:
    """The configured identity provider. `Provider.of` is None where none is configured."""

    def __init__(self, settings: Settings, policy: dict[str, Any]) -> None:
        self.issuer = settings.oidc_issuer.rstrip("/")
        self.client_id = settings.oidc_client_id
        self._claims_asked = {policy[name] for name in ("user_claim", "role_claim", "compartment_claim")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Authlib prefers httpx2, which nothing else here needs
            from authlib.integrations.starlette_client import OAuth  # only where there is an identity provider
        self._client = OAuth().register(
            "force",
            client_id=self.client_id,
            client_secret=_secret(settings),
            server_metadata_url=f"{self.issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(policy["scopes"]),
                "code_challenge_method": "S256",
                "timeout": 10,
                "leeway": 0,  # access tokens that live for a minute are common; ours is used at once
            },
        )

    @classmethod
    def of(cls, settings: Settings, policy: dict[str, Any]) -> Provider | None:
        """Raises SettingsError for an issuer without TLS (loopback apart), or without client id or secret."""
        if not settings.oidc_issuer:
            return None
        issuer = urlsplit(settings.oidc_issuer)
        if issuer.scheme != "https" and issuer.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise SettingsError("TRIAGE_OIDC_ISSUER is no https:// address.", "Write the issuer's address in full.")
        if not settings.oidc_client_id or settings.oidc_secret_file is None:
            raise SettingsError("TRIAGE_OIDC_ISSUER needs TRIAGE_OIDC_CLIENT_ID and TRIAGE_OIDC_SECRET_FILE.")
        return cls(settings, policy)

    async def begin(self, request: Request, callback: str, target: str) -> Response:
        """To the provider's own page; `target` is where the person wants to after it."""
        request.session.clear()
        request.session["target"] = target
        try:
            await self._metadata()
            answer: Response = await self._client.authorize_redirect(request, callback)
        except (httpx.HTTPError, ValueError, RuntimeError) as error:
            raise _silent() from error
        return answer

    async def finish(self, request: Request) -> dict[str, Any]:
        """The verified claims of the person whom the provider sends back.

        Raises PermissionDeniedError when the person or the provider refused, the flow was not begun in this browser or
        is too old, or signature, issuer, audience, time or nonce are wrong; DependencyError when nobody answers.
        """
        try:
            issuer = (await self._metadata())["issuer"]
            options = {name: {"essential": True, "value": v} for name, v in (("iss", issuer), ("aud", self.client_id))}
            token = await self._client.authorize_access_token(request, claims_options=options)
            claims = dict(token.get("userinfo") or {})
            if not claims:
                raise PermissionDeniedError(_UNVERIFIED, _AGAIN)
            return claims | await self._further(token, claims)
        except OAuthError as error:
            raise PermissionDeniedError("The sign-in was refused, or begun too long ago.", _AGAIN) from error
        except JoseError as error:
            raise PermissionDeniedError(_UNVERIFIED, _AGAIN) from error
        except (httpx.HTTPError, ValueError, KeyError, RuntimeError) as error:
            raise _silent() from error
        finally:
            request.session.clear()

    async def _metadata(self) -> dict[str, Any]:
        """The provider's description of itself, checked once: it has to be of the issuer that was configured."""
        found: dict[str, Any] = await self._client.load_server_metadata()
        if str(found.get("issuer", "")).rstrip("/") != self.issuer:
            raise RuntimeError("another issuer")
        offered = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [name for name in offered if name in _SIGNED]
        return found

    async def _further(self, token: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        """Claims that the provider keeps out of the ID token, from its userinfo endpoint; of the same subject only."""
        missing = self._claims_asked - set(claims)
        if not missing or "userinfo_endpoint" not in self._client.server_metadata:
            return {}
        more = dict(await self._client.userinfo(token=token))
        if more.get("sub") != claims["sub"]:
            raise PermissionDeniedError(_UNVERIFIED, _AGAIN)
        return {name: more[name] for name in missing if name in more}


_UNVERIFIED = "The identity provider's answer could not be verified."
_AGAIN = "Begin again at the sign-in page; if it stays, tell your administrator."


def _silent() -> DependencyError:
    return DependencyError("The identity provider does not answer as it should.", "Try again, or tell the operator.")


def _secret(settings: Settings) -> str:
    try:
        text = settings.oidc_secret_file.read_text().strip() if settings.oidc_secret_file else ""
    except OSError as error:
        raise SettingsError(f"TRIAGE_OIDC_SECRET_FILE cannot be read: {error.strerror}.") from error
    if not text:
        raise SettingsError("TRIAGE_OIDC_SECRET_FILE is empty.")
    return text
