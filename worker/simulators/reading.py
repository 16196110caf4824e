"""Base of simulators that use a language model's log-probabilities of numbers."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from app.domain.language_models import Capability
from worker.method.contracts import Services
from worker.method.prompts import load
from worker.providers.base import Provider
from worker.simulators.numbers import top_level
from worker.simulators.prompting import provenance, provider_with


class ReadsNumbers:
    """A simulator over one provider, with the highest number on the scale of this provider's model."""

    name: str
    version: int
    prompt: ClassVar[str]
    needs: ClassVar[Capability]

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.top = top_level(provider)

    @classmethod
    def build(cls, _parameters: Mapping[str, Any], services: Services) -> Self:
        """Raises MethodError if the method's provider lacks the capability."""
        return cls(provider_with(services, cls.needs, cls.name))

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The prompt's digests and the scale."""
        return {**provenance(load(self.prompt)), "top": self.top}
