"""What is known of a model without its weights: configuration, shapes and tokenizer."""

from dataclasses import dataclass
from typing import Any

from app.domain.sites import Site
from worker.checkpoints import checkpoint_folder, empty_model, read_config, read_tokenizer
from worker.subjects.load import bos_policy, check_is_fast, is_folder
from worker.subjects.loaded import BosPolicy, plain_encoder
from worker.subjects.sites import activation_function, open_site, site_path
from worker.weight_files import check_weight_files


@dataclass(frozen=True, slots=True)
class Description:
    """A model that has not been loaded. ``encoder`` cuts text as a collection does.

    ``n_inner`` parameters are those that every token is multiplied by: all but the embeddings. ``hidden_size`` is the
    width of the residual stream. ``weight_bytes``: of the files; None where they are still to be downloaded.
    """

    architecture: str
    site: Site
    activation_function: str | None
    hidden_size: int
    n_parameters: int
    n_inner: int
    max_positions: int | None
    bos_policy: BosPolicy
    vocabulary_size: int
    weight_bytes: int | None
    encoder: Any

    @property
    def n_layers(self) -> int:
        """The number of layers."""
        return len(self.site.widths)


def describe(source: str, revision: str | None = None) -> Description:
    """Read configuration and tokenizer of a folder or a hub id, and make the model of it without weights.

    Weight files of a folder are opened, so that a missing one, or one that is cut off, is known. Raises what
    ``load_subject`` raises: CheckpointError, SubjectError.
    """
    folder, _ = checkpoint_folder(source, revision, with_weights=False)
    config = read_config(folder)
    kind, path = site_path(config.model_type)
    tokenizer = read_tokenizer(folder)
    check_is_fast(tokenizer, source)
    model = empty_model(folder)
    site, _ = open_site(model, kind, path, config.get_text_config().num_hidden_layers)
    embeddings = {id(part.weight): part.weight.numel() for part in _embeddings(model)}
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return Description(
        architecture=(config.architectures or [type(model).__name__])[0],
        site=site,
        activation_function=activation_function(config, kind),
        hidden_size=config.get_text_config().hidden_size,
        n_parameters=n_parameters,
        n_inner=n_parameters - sum(embeddings.values()),
        max_positions=getattr(config.get_text_config(), "max_position_embeddings", None),
        bos_policy=bos_policy(tokenizer, "auto"),
        vocabulary_size=len(tokenizer),
        weight_bytes=check_weight_files(folder) if is_folder(source) else None,
        encoder=plain_encoder(tokenizer),
    )


def _embeddings(model: Any) -> list[Any]:
    found = (model.get_input_embeddings(), model.get_output_embeddings())
    return [part for part in found if part is not None]
