"""Explainers by their names, built as a method builds them."""

from typing import Any

from app.domain.steps.method import chosen_explainer
from worker.method.contracts import Explainer, Services
from worker.method.registry import build_explainer


def explainer_named(name: str, services: Services, **parameters: Any) -> Explainer:
    """An explainer of the catalogue with the one it wraps."""
    return build_explainer(chosen_explainer(name, parameters), services)
