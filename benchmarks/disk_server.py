"""The web server, with its static files a second time: from disk, by Starlette's own ``StaticFiles``, in a thread.

They pass the same middleware in the same process: what a page was compared with before our files came from memory.
"""

from typing import Any
from unittest.mock import patch

from fastapi import FastAPI
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.log import configure_logging
from app.settings import Settings
from app.web import main
from app.web.http.static import STATIC

FROM_DISK = "/static/disk"
"""Before ``/static``, and like it no page for the middleware."""


def serve() -> None:
    """Run it until it is stopped."""
    settings, create_app = Settings(), main.create_app

    def with_disk(*arguments: Any, **named: Any) -> FastAPI:
        app = create_app(*arguments, **named)
        app.router.routes.insert(0, Mount(FROM_DISK, StaticFiles(directory=STATIC)))
        return app

    configure_logging(settings)
    with patch.object(main, "create_app", with_disk):
        main.serve(settings)


if __name__ == "__main__":
    serve()
