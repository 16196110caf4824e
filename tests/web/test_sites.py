"""Pages say where the neurons that they show were read."""

import re

import pytest
from starlette.testclient import TestClient

from app.domain.sites import Site, SiteKind
from tests.factories import Make

HEADS = Site(SiteKind.MODULE_INPUT, "model.layers.{layer}.self_attn.o_proj", (4, 4))


@pytest.fixture(autouse=True)
def neuron_of_a_head(make: Make) -> None:
    subject = make.subject()
    subject.site, subject.activation_function = HEADS.as_json(), None
    make.neuron(subject, layer=1, index=2)
    make.session.flush()


def test_a_subject_says_where_its_neurons_are_read(client: TestClient) -> None:
    assert "Module input" in client.get("/").text
    assert "Module input, input of model.layers.{layer}.self_attn.o_proj" in client.get("/tiny").text


def test_a_neuron_says_which_module_of_its_layer_is_read(client: TestClient) -> None:
    html = client.get("/tiny/1/2").text
    assert "Module input, input of model.layers.1.self_attn.o_proj" in html
    assert "Activation function</dt>" not in re.sub(r"\s+<", "<", html)
    assert client.get("/tiny/1/2.json").json()["neuron"]["origin"]["site"]["module_path"] == HEADS.module_path
