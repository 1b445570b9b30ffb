"""The web application: pages, and what they may ask for."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles

from daemon.monitor.bedside import Bedside
from daemon.monitor.doors import Doors
from daemon.monitor.guard import Gate, Headers, RefusalError, refused
from daemon.monitor.hub import Hub
from daemon.monitor.listener import Listener
from daemon.monitor.sealing import Sealer
from daemon.monitor.sessions import Sessions
from daemon.monitor.settings import Web
from daemon.monitor.shelf import Shelf
from daemon.monitor.store import Store
from daemon.monitor.ward import Ward

PAGES = Path(__file__).parent / "web"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def application(
    web: Web, store: Store, ward: Ward, hub: Hub, listener: Listener, sealer: Sealer, sessions: Sessions
) -> Starlette:
    gate = Gate(sessions, web.secure, store.refusals)
    doors = Doors(store, sessions, gate)
    routes = [
        *doors.routes(),
        *Bedside(ward, listener, sealer, store, gate, doors).routes(),
        *Shelf(store, hub, sessions, gate).routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Headers, secure=web.secure),
            # A page of another name that resolves to this machine gets nothing (DNS rebinding).
            Middleware(
                TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK, web.host, *web.names], www_redirect=False
            ),
        ],
        exception_handlers={RefusalError: refused},
    )
    # The pages hold no secret: what they show, they ask for.
    app.mount("/", StaticFiles(directory=PAGES, html=True))
    return app
