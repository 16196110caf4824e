"""Every setting of the program: type, unit, default and help.

Values come from the environment (prefix ``NEURON_AUDIT_``; the database alone is ``DATABASE_URL``).
Built once in a main function and handed on; nothing else reads the environment.
"""

import os
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.bounds import MOST_IN_BATCH

Seconds = float
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(env_prefix="NEURON_AUDIT_", extra="ignore", frozen=True, populate_by_name=True)

    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="PostgreSQL address. Without it an embedded server runs in the data folder.",
    )
    data_dir: Path = Field(Path(".data"), description="Folder of the embedded database and of unfinished collections.")
    import_dir: Path | None = Field(
        None,
        description="Folder from which pages import, under the same path on the workers; `imports` in the data folder"
        " if unset. Commands import from anywhere.",
    )
    subject_dirs: str = Field(
        "",
        description="Folders, separated by commas, below which the form of a new subject may name models and texts,"
        " under the same paths on the workers; `subjects` in the data folder if unset. Commands read from anywhere.",
    )
    upload_megabytes: int = Field(500, ge=1, description="Most megabytes of a file that a page takes.")
    host: str = Field(
        "127.0.0.1",
        description="Address the web server binds. Until an account exists, its pages can be read and nothing changed.",
    )
    port: int = Field(8250, ge=0, le=65535, description="Port of the web server.")
    public_url: str | None = Field(
        None,
        description="Origin under which browsers reach the site behind a proxy, for example https://audit.example.org.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for machines.")
    session_days: int = Field(14, ge=1, description="Days after which a login ends, used or not.")
    session_idle_hours: int = Field(72, ge=1, description="Hours without a request after which a login ends.")
    confirm_minutes: int = Field(
        30,
        ge=1,
        description="Minutes after a login within which accounts, roles and tokens may be changed; later the password"
        " is asked for again.",
    )
    login_token_minutes: int = Field(60, ge=1, description="Minutes within which a one-time login token must be used.")
    statement_seconds: Seconds = Field(
        3.0, gt=0, description="Seconds that one statement of a page may take; then the response is 503."
    )
    change_seconds: Seconds = Field(
        120.0, gt=0, description="The same for a request that changes something, such as queueing every neuron."
    )
    requests_at_once: int = Field(
        64, ge=1, description="Requests that the web server works on at a time; further ones get 503."
    )
    require_account: bool = Field(
        False, description="Whether every page needs an account. Otherwise reading about neurons needs none."
    )
    embed_origins: str = Field(
        "",
        description="Origins of sites, separated by spaces, that may show neurons' pages in a frame (`?embed=1`), for "
        "example https://notes.example.org; none if unset.",
    )
    page_size: int = Field(50, ge=1, le=500, description="Rows on one page of a list.")
    batch_limit: int = Field(MOST_IN_BATCH, ge=1, description="Most neurons that one batch may hold.")
    device: str = Field(
        "auto",
        description="Where models run: auto, cpu, cuda, cuda:1, mps, or several cards, as cuda:0,cuda:1, over which a"
        " subject that is larger than the first is spread. auto and cuda are all cards.",
    )
    lease_seconds: Seconds = Field(
        60.0, gt=0, description="Seconds a worker may hold a run or task without renewing its lease."
    )
    renew_seconds: Seconds = Field(10.0, gt=0, description="Seconds between two renewals of a lease.")
    stall_seconds: Seconds = Field(
        600.0,
        gt=0,
        description="Seconds without progress after which a worker ends itself: its work is taken over.",
    )
    progress_seconds: Seconds = Field(
        1.0,
        ge=0,
        description="Seconds between two reports of progress, which also show whether the work was cancelled.",
    )
    retry_seconds: Seconds = Field(
        2.0,
        ge=0,
        description="Seconds a run or task waits after its first failed attempt; twice as long after each further one.",
    )
    pause_seconds: Seconds = Field(
        5.0,
        gt=0,
        description="Seconds a provider is left alone when it is down; twice as long at each further failure.",
    )
    longest_pause_seconds: Seconds = Field(
        300.0, gt=0, description="Most seconds that a provider is left alone at a time."
    )
    concurrency: int = Field(1, ge=1, description="Runs that one worker process works on at a time.")
    subject_megabytes: int | None = Field(
        None,
        ge=1,
        description="Megabytes that the subjects of one worker process may take together while loaded, parameters and"
        " buffers counted; half of the device's memory if unset. A larger subject is loaded alone. One that runs use is"
        " not released for a trial.",
    )
    embedding_provider: str = Field(
        "",
        description="Name of a language model behind an endpoint that embeds explanations for search by meaning. Its"
        " price counts. Search by meaning is hidden while this and the next are unset.",
    )
    embedding_model: str = Field(
        "",
        description="Model that embeds: its name at that endpoint if not the endpoint's own; without an endpoint, the"
        " folder of a transformers model on the workers.",
    )
    look_seconds: int = Field(
        5,
        ge=1,
        le=30,
        description="Seconds between two searches for work that has become due and for expired leases.",
    )
    stop_seconds: Seconds = Field(30.0, gt=0, description="Seconds a stopping worker may take to finish what it holds.")
    login_attempts: int = Field(
        10, ge=1, description="Wrong passwords for one name within 15 minutes before no more are tried."
    )
    client_login_attempts: int = Field(
        50, ge=1, description="Login attempts with a password from one network address within 15 minutes."
    )
    openid_issuer: str | None = Field(
        None,
        description="Address of an OpenID provider whose people may log in, for example https://login.example.org.",
    )
    openid_client_id: str = Field("", description="Name under which the OpenID provider knows this site.")
    openid_client_secret: SecretStr | None = Field(
        None, description="Secret that the OpenID provider gave this site; none for a public client."
    )
    openid_client_secret_file: Path | None = Field(None, description="File that holds this secret instead.")
    openid_domains: str = Field(
        "",
        description="E-mail domains, separated by commas, whose people become viewers at their first login by OpenID; "
        "others must be invited with their address.",
    )
    openid_acr: str = Field(
        "",
        description="Values of the claim `acr`, one of which the OpenID provider must state of each login, separated by"
        " spaces: how its administrator names a login with a second factor. Any login will do if unset.",
    )
    openid_name: str = Field("OpenID", description="What the button that logs in by the OpenID provider calls it.")
    max_attempts: int = Field(5, ge=1, description="Failed attempts after which a run or task is put in quarantine.")
    max_deaths: int = Field(3, ge=1, description="Worker crashes after which a run or task is put in quarantine.")
    keep_workers_hours: int = Field(72, ge=1, description="Hours after which a worker that is gone is forgotten.")

    @property
    def origin(self) -> str:
        """The address under which browsers reach the site, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def login_address(self, token: str) -> str:
        """The URL where a browser exchanges a one-time token for a session."""
        return f"{self.origin}/login?token={token}"

    @field_validator("embed_origins")
    @classmethod
    def _origins_are_origins(cls, text: str) -> str:
        """Refuse anything but origins, which could break out of the policy that they are written into."""
        for origin in text.split():
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"NEURON_AUDIT_EMBED_ORIGINS: {origin!r} is no origin like https://notes.example.org.")
        return " ".join(text.split())

    @model_validator(mode="after")
    def _openid_is_whole(self) -> Self:
        """Refuse an issuer without a client id, or one that is reached without encryption on another machine."""
        if self.openid_issuer is None:
            return self
        parts = urlsplit(self.openid_issuer)
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            raise ValueError("NEURON_AUDIT_OPENID_ISSUER begins with https://, unless the provider is on this machine.")
        if not self.openid_client_id:
            raise ValueError("NEURON_AUDIT_OPENID_ISSUER needs NEURON_AUDIT_OPENID_CLIENT_ID.")
        return self


def settings_table() -> str:
    """Every setting as a Markdown table: variable, default, meaning. The README shows it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = "DATABASE_URL" if name == "database_url" else f"NEURON_AUDIT_{name.upper()}"
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines)


def is_key_variable(name: str) -> bool:
    """Whether a provider may read its key from this environment variable; others hold other secrets."""
    return name.isidentifier() and name.upper() == name and name.endswith(("_KEY", "_TOKEN"))


def key_from_environment(name: str) -> SecretStr | None:
    """The unchanged value of a key's environment variable; None if it is not set or may not be read.

    ``app.secrets.usable_key`` makes a key of it.
    """
    value = os.environ.get(name, "") if is_key_variable(name) else ""
    return SecretStr(value) if value else None
