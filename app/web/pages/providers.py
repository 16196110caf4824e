"""Language models for administrators: their addresses, limits, prices, and keys that can be set but never read."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_ENDPOINT, LONGEST_FIELD, LONGEST_KEY, LONGEST_NAME, LONGEST_NOTE
from app.domain.language_models import ProviderKind
from app.domain.roles import Permission
from app.errors import Invalid
from app.models import Provider
from app.queries.common.inputs import one_of, price_of
from app.queries.language_models import providers as queries
from app.queries.language_models.providers import ProviderSettings
from app.queries.people.accounts import Viewer, name_of
from app.secrets import SecretBox
from app.web.deps import AppSettings, DbSession, IdInPath, allowed_to
from app.web.http.routing import PageRouter
from app.web.rendering.templating import CurrentView
from app.work.probes import enqueue_probe

router = PageRouter(include_in_schema=False)

Administrator = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_PROVIDERS), scope="function")]


@dataclass(frozen=True, slots=True)
class ProviderShown:
    """A language model without its key."""

    id: int
    name: str
    settings: ProviderSettings
    has_key: bool
    key_set_at: datetime | None
    key_set_by: str | None
    """None where it was typed on the command line."""
    capabilities: tuple[str, ...] | None
    """None where it was never tried."""
    probed_at: datetime | None
    probe_error: str | None
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class ProvidersPage:
    """All language models."""

    providers: tuple[ProviderShown, ...]


@dataclass(frozen=True, slots=True)
class ProvidersNew:
    """The form of a new language model."""

    settings: ProviderSettings
    kinds: tuple[ProviderKind, ...]


@dataclass(frozen=True, slots=True)
class ProvidersProvider:
    """One language model, to be changed."""

    provider: ProviderShown
    kinds: tuple[ProviderKind, ...]

    @property
    def settings(self) -> ProviderSettings:
        """What the form begins with."""
        return self.provider.settings


class ProviderForm(BaseModel):
    """What an administrator sends. Numbers that may be left out are texts."""

    kind: str = Field(max_length=LONGEST_FIELD)
    model: str = Field(max_length=LONGEST_ENDPOINT)
    base_url: str = Field("", max_length=LONGEST_ENDPOINT)
    networks: str = Field("", max_length=LONGEST_ENDPOINT)
    concurrency: int = Field(8, ge=1, le=10_000)
    requests_per_minute: str = Field("", max_length=LONGEST_FIELD)
    tokens_per_minute: str = Field("", max_length=LONGEST_FIELD)
    timeout_seconds: float = Field(120.0, ge=0.1, le=86_400)
    price_in: str = Field("", max_length=LONGEST_FIELD)
    price_cached: str = Field("", max_length=LONGEST_FIELD)
    price_out: str = Field("", max_length=LONGEST_FIELD)
    options: str = Field("", max_length=LONGEST_NOTE)

    def settings(self) -> ProviderSettings:
        """What was sent, in the form that is stored. Raises Invalid."""
        price_in = price_of(self.price_in, what="price of tokens read") or 0.0
        cached = price_of(self.price_cached, what="price of cached tokens")
        return ProviderSettings(
            kind=one_of(self.kind, ProviderKind, what="kind"),
            model=self.model,
            base_url=self.base_url.strip() or None,
            allowed_networks=tuple(self.networks.replace(",", " ").split()),
            concurrency=self.concurrency,
            requests_per_minute=_limit(self.requests_per_minute, what="limit of requests per minute"),
            tokens_per_minute=_limit(self.tokens_per_minute, what="limit of tokens per minute"),
            timeout_seconds=self.timeout_seconds,
            price_in=price_in,
            price_cached=price_in if cached is None else cached,
            price_out=price_of(self.price_out, what="price of tokens written") or 0.0,
            options=_options(self.options),
        )


class NewProviderForm(ProviderForm):
    """The same with a name, which methods use and which does not change."""

    name: str = Field(max_length=LONGEST_NAME)


@router.api_route("/providers", methods=["GET", "HEAD"])
def page(session: DbSession, view: CurrentView, _administrator: Administrator) -> Response:
    """All language models."""
    return view.html(
        "providers/page.html", ProvidersPage(tuple(_shown(session, r) for r in queries.providers(session)))
    )


@router.api_route("/providers/new", methods=["GET", "HEAD"])
def new(view: CurrentView, _administrator: Administrator) -> Response:
    """The form of a new language model."""
    empty = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "")
    return view.html("providers/new.html", ProvidersNew(empty, tuple(ProviderKind)))


@router.post("/providers")
def add(session: DbSession, administrator: Administrator, form: Annotated[NewProviderForm, Form()]) -> Response:
    """Add a language model. Raises Invalid, Conflict."""
    row = queries.add_provider(session, name=form.name, settings=form.settings(), by=administrator.id)
    return _to(row.id)


@router.api_route("/providers/{provider_id}", methods=["GET", "HEAD"])
def provider(session: DbSession, view: CurrentView, _administrator: Administrator, provider_id: IdInPath) -> Response:
    """One language model."""
    shown = _shown(session, queries.provider_of(session, provider_id=provider_id))
    return view.html("providers/provider.html", ProvidersProvider(shown, tuple(ProviderKind)))


@router.post("/providers/{provider_id}")
def change(
    session: DbSession, administrator: Administrator, provider_id: IdInPath, form: Annotated[ProviderForm, Form()]
) -> Response:
    """Change its address, limits and prices. Raises Invalid, NotFound, Conflict."""
    kept = queries.provider_of(session, provider_id=provider_id).key_variable
    settings = replace(form.settings(), key_variable=kept)
    queries.change_provider(session, provider_id=provider_id, settings=settings, by=administrator.id)
    return _to(provider_id)


@router.post("/providers/{provider_id}/key")
def set_key(
    session: DbSession,
    settings: AppSettings,
    administrator: Administrator,
    provider_id: IdInPath,
    key: Annotated[str, Form(max_length=LONGEST_KEY)],
) -> Response:
    """Store its key in place of the one before. Raises Invalid, NotFound."""
    box = SecretBox(settings.data_dir)
    queries.set_key(session, provider_id=provider_id, key=key, box=box, by=administrator.id)
    return _to(provider_id)


@router.post("/providers/{provider_id}/key/delete")
def delete_key(session: DbSession, administrator: Administrator, provider_id: IdInPath) -> Response:
    """Delete its key. Raises NotFound, Conflict."""
    queries.delete_key(session, provider_id=provider_id, by=administrator.id)
    return _to(provider_id)


@router.post("/providers/{provider_id}/probe")
def probe(session: DbSession, administrator: Administrator, provider_id: IdInPath) -> Response:
    """Let a worker try it. Raises NotFound."""
    task = enqueue_probe(session, provider_id=provider_id, account_id=administrator.id)
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)


@router.post("/providers/{provider_id}/disable")
def disable(session: DbSession, administrator: Administrator, provider_id: IdInPath) -> Response:
    """Let it be called no more. Raises NotFound, Conflict."""
    queries.disable_provider(session, provider_id=provider_id, by=administrator.id)
    return _to(provider_id)


@router.post("/providers/{provider_id}/enable")
def enable(session: DbSession, administrator: Administrator, provider_id: IdInPath) -> Response:
    """Let it be called again. Raises NotFound, Conflict."""
    queries.enable_provider(session, provider_id=provider_id, by=administrator.id)
    return _to(provider_id)


def _to(provider_id: int) -> Response:
    return RedirectResponse(f"/providers/{provider_id}", status_code=303)


def _shown(session: Session, row: Provider) -> ProviderShown:
    return ProviderShown(
        id=row.id,
        name=row.name,
        settings=ProviderSettings.of(row),
        has_key=row.key_encrypted is not None,
        key_set_at=row.key_set_at,
        key_set_by=None if row.key_set_by is None else name_of(session, account_id=row.key_set_by),
        capabilities=None if row.capabilities is None else tuple(row.capabilities),
        probed_at=row.probed_at,
        probe_error=row.probe_error,
        is_disabled=row.disabled_at is not None,
    )


def _limit(value: str, *, what: str) -> int | None:
    """A whole number from 1 on; None where nothing is typed. Raises Invalid."""
    if not value.strip():
        return None
    if not value.strip().isascii() or not value.strip().isdigit() or not 1 <= int(value) < 2**31:
        raise Invalid(f"The {what} is not a whole number from 1 on. Write one, or leave it empty for none.")
    return int(value)


def _options(value: str) -> dict[str, Any]:
    """The options as JSON. Raises Invalid for anything but an object."""
    if not value.strip():
        return {}
    try:
        found = json.loads(value, parse_constant=str)
    except ValueError as error:
        raise Invalid(f"The options are not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise Invalid('The options are an object in JSON, such as {"dtype": "bfloat16"}.')
    return found
