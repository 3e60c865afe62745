"""The console as an ASGI application: `create_app(settings)`.

Layers, from outside: the wall (hosts, sizes, headers), the access check before every route, the routes. Errors of the
product become pages (or JSON) by one table, so that no traceback and no unlogged refusal leaves the house.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Match

from pipeline import __version__, errors, logs
from pipeline.cases.views import hiding
from pipeline.console import pages
from pipeline.console.api import describing, forms
from pipeline.console.api.plainly import Plainly
from pipeline.console.casepage.evidence import Evidence
from pipeline.console.counters import Counters
from pipeline.console.dashboard.figures import Dashboard
from pipeline.console.gate import identity, provider, security
from pipeline.console.routes import ROUTERS, cases, duties, graded, supervision, together
from pipeline.console.standing import Nights
from pipeline.console.writers import Writers
from pipeline.settings import Settings
from pipeline.store import opening as stores
from pipeline.store import refusals, secret

STATUS: tuple[tuple[type[errors.TriageError], int, str], ...] = (
    (errors.PermissionDeniedError, 403, "You may not do this"),
    (errors.ConflictError, 409, "Somebody was faster, or something changed"),
    (errors.InputError, 422, "This cannot be read"),
    (errors.SettingsError, 500, "A setting is wrong"),
    (errors.UsageError, 400, "This does not work like that"),
    (errors.IntegrityError, 503, "Stored data is damaged"),
    (errors.BusyError, 503, "Too busy at this moment"),
    (errors.DependencyError, 503, "Something is missing"),
    (errors.TriageError, 500, "Something failed"),
)
"""Error class to HTTP status and heading; the first that fits."""


RETRY_SECONDS = 5
"""When a client is told to try again after an answer of 503."""

UNTYPED = frozenset(
    {
        "csrf",
        "version",
        "form",
        "decision",
        "fact",
        "value",
        "notification_id",
        "request_id",
        "then",
        "seen",
        "password",
        "again",
        "next",
    }
)
"""Fields of forms that nobody types."""


def create_app(settings: Settings, store: stores.Store | None = None) -> Any:
    """The application over the case store that the settings name (or the one given)."""
    app = FastAPI(
        title="Referral triage",
        version=__version__,
        description=describing.TEXT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(identity.authorise)],
        default_response_class=JSONResponse,
    )
    app.state.settings = settings
    app.state.store = store or stores.open_store(settings)
    app.state.writers = Writers(app.state.store, settings.home / "console")
    app.state.counters = Counters()
    app.state.nights = Nights(settings)
    app.state.evidence = Evidence(settings, lambda: _erased(app.state.store))
    app.state.dashboard = Dashboard(settings)
    app.state.provider = provider.Provider.of(settings, app.state.store.rules.data["oidc"])
    if app.state.provider is not None:
        app.add_middleware(
            SessionMiddleware,
            secret_key=secret.derive(settings, "oidc-flow").hex(),
            session_cookie=provider.COOKIE,
            max_age=provider.SECONDS,
            path=provider.PATH,
            same_site="lax",  # the way back from the provider is a step from another site
            https_only=settings.console_tls,
        )
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(errors.TriageError, _triage_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    hosts = {settings.console_host, "localhost", "127.0.0.1", *settings.console_hosts.split(",")} - {""}
    app.add_middleware(Plainly)
    description = describing.Description(app)
    app.openapi = description.document  # type: ignore[method-assign]
    return security.Wall(app, hosts, settings.console_tls)


def _erased(store: stores.Store) -> set[str]:
    """Referrals of erased cases, for the index of the lake's rows."""
    with store.reader() as session:
        return set(hiding.erased_referrals(session))


def _triage_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.TriageError):
        raise error
    if isinstance(error, identity.NotSignedInError):
        return _sign_in_first(request, error)
    status, heading = next((s, h) for kind, s, h in STATUS if isinstance(error, kind))
    remedy = error.remedy
    if _no_such_case(request, error):
        status, heading, remedy = 404, "There is no such case", "The queue has the cases you may see."
    elif isinstance(error, identity.NotFoundError):
        status, heading = 404, "There is no such page"
    if (form := _refused_form(request, error, status)) is not None:
        return form
    return _message(request, status, heading, error.message, remedy)


def _refused_form(request: Request, error: errors.TriageError, status: int) -> Response | None:
    """A refused form of a case's page, shown again with what was typed; None where the answer is a message."""
    number, sent = request.path_params.get("number"), getattr(request.state, "sent", None)
    if number is None or sent is None or status not in {400, 409, 422} or not _wants_page(request):
        return None
    refused = pages.RefusedForm(sent, error, status)
    try:
        if sent.get("then") == "supervision":
            return supervision.refused(request, refused)
        shown = {"group": together.refused, "childrens": duties.refused, "graded": graded.refused}
        page = shown.get(sent.get("then", ""), cases.refused)
        return page(request, number, refused)
    except errors.TriageError:
        return None  # the case cannot be read either: the message says why the deed was refused


def _no_such_case(request: Request, error: errors.TriageError) -> bool:
    """A case that is not there and one that is hidden from this person answer alike."""
    number = request.path_params.get("number")
    return number is not None and error.message == refusals.no_such_case(number).message


def _sign_in_first(request: Request, error: errors.TriageError) -> Response:
    if not _wants_page(request):
        answer = _message(request, 401, "Sign in first", error.message, error.remedy)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if request.method not in security.SAFE_METHODS:
        return _session_ended(request)
    target = identity.safe_target(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    return RedirectResponse(identity.sign_in_url(target), 303)


def _session_ended(request: Request) -> Response:
    """A form came after its session had ended: nothing was saved, and what was typed is shown to be taken along."""
    number = request.path_params.get("number")
    target = identity.safe_target(f"/cases/{number}") if number else "/queue"
    context = {"typed": _typed(request), "back": identity.sign_in_url(target)}
    return Response(pages.render(request, "ended.html", context), 401, media_type="text/html; charset=utf-8")


def _typed(request: Request) -> list[tuple[str, str]]:
    """What a person had typed into a form that was not taken, to be copied."""
    sent: dict[str, str] = getattr(request.state, "sent", {})
    return [(name, text) for name, text in sent.items() if len(text.strip()) > 1 and name not in UNTYPED]


def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 405 and request.method in security.SAFE_METHODS and _wants_page(request):
        return RedirectResponse(_page_above(request), 303)  # the address of a form, loaded again: back to its page
    if error.status_code in {404, 405}:  # no route was found, so nobody has asked yet who it is
        request.state.visitor = identity.identify(request)
    headings = {404: "There is no such page", 405: "This cannot be done here", 413: "Too large"}
    text = "Check the address." if error.status_code == 404 else str(error.detail)
    answer = _message(request, error.status_code, headings.get(error.status_code, "This did not work"), text, "")
    answer.headers.update(error.headers or {})
    return answer


def _page_above(request: Request) -> str:
    """The nearest page above the address of a form: `/accounts/ana` of `/accounts/ana/end`."""
    path = request.url.path.rstrip("/")
    while path := path.rpartition("/")[0]:
        scope = {"type": "http", "path": path, "method": "GET", "root_path": "", "headers": []}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            return identity.safe_target(path)
    return "/"


def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    fields = sorted({str(e["loc"][-1]) for e in error.errors()})
    return _message(request, 422, "Something is missing or wrong", f"Look at: {', '.join(fields)}.", "")


def _unexpected(request: Request, error: Exception) -> Response:
    # The server's own log gets the traceback; the answer says nothing that a stranger could use.
    logs.get("console").error("unexpected error", kind=type(error).__name__, path=_route_path(request))
    return _message(
        request, 500, "Something failed", "The fault is logged.", "Try again; if it stays, tell the operator."
    )


def _route_path(request: Request) -> str:
    """The path as routed, without the values in it."""
    return getattr(request.scope.get("route"), "path", "(no route)")


def _message(request: Request, status: int, heading: str, text: str, remedy: str) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    if not _wants_page(request):
        return JSONResponse({"error": heading, "message": text, "remedy": remedy}, status, headers)
    context: dict[str, Any] = {
        "heading": heading,
        "text": text,
        "remedy": remedy,
        "back": "/queue",
        "back_text": "Go to the queue",
    }
    context["typed"] = _typed(request) if status in {400, 403, 409, 422, 503} else []
    if getattr(request.state, "visitor", None) is None:
        context.update(back="/sign-in", back_text="Sign in")
    return Response(
        pages.render(request, "message.html", context), status, headers, media_type="text/html; charset=utf-8"
    )


def _wants_page(request: Request) -> bool:
    return forms.wanted(request) == "html"
