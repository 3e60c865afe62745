"""The routes, one module per part of the work. Handlers are thin: read the request, call a service, hand data to `pages`."""

from pipeline.console.routes import (
    account,
    api,
    cases,
    dashboard,
    duties,
    graded,
    health,
    mine,
    provider,
    queue,
    search,
    sign_in,
    supervision,
    together,
    work,
)
from pipeline.console.routes.keeping import accounts, auditing, operating
from pipeline.console.routes.tools import exports, lookups, sql

ROUTERS = (
    sign_in.router,
    provider.router,
    health.router,
    queue.router,
    search.router,
    mine.router,
    cases.router,
    work.router,
    together.router,
    duties.router,
    graded.router,
    exports.router,
    supervision.router,
    lookups.router,
    sql.router,
    dashboard.router,
    operating.router,
    account.router,
    accounts.router,
    auditing.router,
    api.router,
)
"""Every router of the application, in order."""
