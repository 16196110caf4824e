import pytest
import torch

from app.errors import CheckpointError, ProviderError
from app.settings import Settings
from tests.worker.tiny_models import save_tiny
from worker.devices import OnDevice, chosen_device, device_name
from worker.providers.local import load_local


def test_auto_is_a_device_that_there_is() -> None:
    assert chosen_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("setting", ["cuda:97", "gpu", "", "xpu:3", "cpu:one"])
def test_a_device_that_is_not_there_is_refused_in_a_sentence(setting: str) -> None:
    with pytest.raises(CheckpointError, match=r"^The device '.*' cannot be used: "):
        chosen_device(setting)


def test_a_processor_has_its_own_name() -> None:
    assert device_name(torch.device("cpu")) == "cpu"


def test_a_local_model_says_where_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(save_tiny(tmp_path_factory.mktemp("model")))
    provider = load_local("house", folder, device=Settings(device="cpu").device, options={})
    assert isinstance(provider, OnDevice)
    assert device_name(provider.device) == "cpu"


def test_a_local_model_on_a_device_that_is_not_there_is_refused_for_good() -> None:
    with pytest.raises(ProviderError, match="cannot be used") as refused:
        load_local("house", "anywhere", device="cuda:97", options={})
    assert refused.value.permanent
