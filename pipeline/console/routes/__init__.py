"""The routes, one module per part of the work. Handlers are thin: read the request, call a service, hand data to `pages`."""

from pipeline.console.routes import (
    account,
    accounts,
    api,
    auditing,
    cases,
    dashboard,
    exports,
    health,
    lookups,
    mine,
    provider,
    queue,
    search,
    sign_in,
    sql,
    supervision,
    work,
)

ROUTERS = (
    sign_in.router,
    provider.router,
    health.router,
    queue.router,
    search.router,
    mine.router,
    cases.router,
    work.router,
    exports.router,
    supervision.router,
    lookups.router,
    sql.router,
    dashboard.router,
    account.router,
    accounts.router,
    auditing.router,
    api.router,
)
"""Every router of the application, in order."""
