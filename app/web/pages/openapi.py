"""The document of the API, for whoever may read pages."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.web.http.routing import PageRouter

router = PageRouter()


@router.head("/openapi.json", include_in_schema=False)
@router.get("/openapi.json", include_in_schema=False)
def document(request: Request) -> JSONResponse:
    """What every page's twin and every table sends, in OpenAPI's form."""
    app: FastAPI = request.app
    content: dict[str, Any] = app.openapi()
    return JSONResponse(content)
