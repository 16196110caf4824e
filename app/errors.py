"""The tree of domain errors. A docstring is the default message; ``status`` is for HTTP.

DomainError
├── NotFound
├── Invalid
├── Conflict
├── Forbidden
│   ├── ConfirmationRequired
│   └── LoginRequired
├── Unavailable
├── CheckpointError
├── SubjectError
├── CorpusError
├── CollectionError
├── MethodError
├── CapReached
└── ProviderError(permanent)
"""

from typing import ClassVar

from app.redaction import redacted


class DomainError(Exception):
    """Something went wrong."""

    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None) -> None:
        # Messages are stored with runs and shown on pages, and quote libraries and endpoints.
        super().__init__(redacted(message or (self.__doc__ or "").strip()))

    @property
    def message(self) -> str:
        """The message for a person."""
        return str(self)


class NotFound(DomainError):
    """There is nothing at this address."""

    status = 404


class Invalid(DomainError):
    """What was sent cannot be used."""

    status = 422


class Conflict(DomainError):
    """This has been changed in the meantime."""

    status = 409


class Forbidden(DomainError):
    """Your account may not do this."""

    status = 403


class ConfirmationRequired(Forbidden):
    """You logged in a while ago. Confirm on your account's page that it is still you, then send this again."""


class LoginRequired(Forbidden):
    """Log in first: open the address with the one-time token that the program printed."""

    status = 401


class Unavailable(DomainError):
    """The service cannot answer right now. Try again in a moment."""

    status = 503


class CheckpointError(DomainError):
    """The model cannot be loaded."""

    status = 422


class SubjectError(DomainError):
    """The model cannot be used as a subject."""

    status = 422


class CorpusError(DomainError):
    """The corpus cannot be read."""

    status = 422


class CollectionError(DomainError):
    """The collection cannot go on."""

    status = 422


class MethodError(DomainError):
    """The method cannot be run on this neuron."""

    status = 422


class NoExplanation(MethodError):
    """No explanation found."""


class CapReached(DomainError):
    """The cap on what language models may cost is reached."""

    status = 402


class ProviderError(DomainError):
    """The language model did not give a usable answer."""

    status = 502

    def __init__(self, message: str | None = None, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent
