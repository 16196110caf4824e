from pathlib import Path

from app.domain.methods import BUILTIN_METHODS
from app.domain.prompts import BUILD_ON_ANOTHER, PROMPTS_OF, prompts_of
from app.web.provenance.prompt_files import prompt_files
from worker.method.prompts import load
from worker.method.registry import EXPLAINERS, SCORERS, SIMULATORS

FOLDER = Path(__file__).parents[2] / "worker" / "method" / "prompts"


def test_every_prompt_file_belongs_to_a_step_and_every_step_is_registered() -> None:
    listed = {prompt for prompts in PROMPTS_OF.values() for prompt in prompts}
    assert listed == {path.stem for path in FOLDER.glob("*.txt")}
    assert set(PROMPTS_OF) <= {*EXPLAINERS, *SIMULATORS, *SCORERS}
    assert set(EXPLAINERS) >= BUILD_ON_ANOTHER


def test_a_method_that_asks_a_language_model_has_prompts_and_lexical_has_none() -> None:
    for method in BUILTIN_METHODS:
        prompts = prompts_of(method.explainer, method.simulator, method.scorers, method.parameters)
        assert bool(prompts) is (method.provider is not None)


def test_an_explainer_around_another_shows_the_others_prompt() -> None:
    parameters = {"explainer": {"explainer": "contrastive"}}
    assert prompts_of("best_of_n", "lexical", (), parameters) == ("explain_contrastive",)
    assert prompts_of("best_of_n", "lexical", (), {}) == ("explain_highlighted",)


def test_a_page_shows_the_very_texts_that_the_worker_sends() -> None:
    for shown in prompt_files(("revise", "detection")):
        sent = load(shown.name)
        assert (shown.text, shown.digest) == (sent.text, sent.digest)
