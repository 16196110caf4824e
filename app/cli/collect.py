"""``neuron-audit collect`` and ``check``: a subject over a corpus, once to collect it, once to execute explanations."""

from typing import Annotated

import typer

from app.cli.common import ExitWithParent, settings, worker_libraries
from app.parent import stop_with_parent

Model = Annotated[str, typer.Argument(help="Folder or hub id of a transformers model.")]
Corpus = Annotated[
    str, typer.Argument(help="File or folder of text, JSON, CSV or Parquet, also packed; datasets:NAME; demo:stdlib.")
]
Slug = Annotated[str | None, typer.Option(help="The subject's name in addresses.")]
Name = Annotated[str | None, typer.Option(help="The subject's name on pages.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Stop after this many tokens.")]
ContextLength = Annotated[int, typer.Option(min=1, help="Tokens of an excerpt.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Excerpts per forward pass.")]
Seed = Annotated[int, typer.Option(min=0, help="Decides which excerpts are sampled.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Bos = Annotated[str, typer.Option(help="BOS before each excerpt: auto (as the tokenizer does), prepend, none.")]
Revision = Annotated[str | None, typer.Option(help="Revision of a model on the hub.")]
ModulePath = Annotated[
    str | None, typer.Option(help="Path of an MLP's output projection, with {layer}, for an unknown architecture.")
]
TextField = Annotated[str, typer.Option(help="Field or column in which a row of the corpus has its text.")]
NullTwin = Annotated[
    bool,
    typer.Option("--null-twin", help="Collect the control of a subject instead: the same shape, permuted weights."),
]
TokenMemory = Annotated[float, typer.Option(min=0, help="Gigabytes for the mean activation of each token and neuron.")]
Queue = Annotated[
    bool, typer.Option("--queue", help="Let a worker do it: the page of its task shows progress and cancels it.")
]


def collect_command(  # noqa: PLR0913, PLR0917 - one argument for each option
    context: typer.Context,
    model: Model,
    corpus: Corpus,
    slug: Slug = None,
    name: Name = None,
    max_tokens: MaxTokens = None,
    context_length: ContextLength = 64,
    batch: Batch = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    bos: Bos = "auto",
    revision: Revision = None,
    module_path: ModulePath = None,
    text_field: TextField = "text",
    part: Annotated[str, typer.Option(help="2/4: the second of four processes that share this collection.")] = "1/1",
    null_twin: NullTwin = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished collection of this kind.")] = False,
    token_memory: TokenMemory = 2.0,
    queue: Queue = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Collect a subject over a corpus: samples and statistics of every neuron in one pass.

    The same command resumes where a killed one stopped.
    """
    if exit_with_parent:
        stop_with_parent()
    with worker_libraries():
        from worker.collection.command import collect
    # By name, as they are declared above: an option that is listed once cannot be forgotten in a second list.
    collect(settings(), **{name: value for name, value in context.params.items() if name != "exit_with_parent"})


def check_command(
    subject: Annotated[str, typer.Argument(help="The subject's name in addresses.")],
    corpus: Annotated[
        str | None, typer.Option(help="The corpus, as it was collected, where its text is not kept on this machine.")
    ] = None,
    text_field: TextField = "text",
    part: Annotated[str, typer.Option(help="2/4: the second of four processes that share this check.")] = "1/1",
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished check of this subject.")] = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Execute explanations on every token of the corpus: what they get right, false alarms, misses.

    Checks what the lexical language can read and has not been checked yet. The same command resumes where a killed
    one stopped.
    """
    if exit_with_parent:
        stop_with_parent()
    with worker_libraries():
        from worker.checks.command import check
    check(settings(), subject=subject, corpus=corpus, text_field=text_field, part=part, restart=restart)
