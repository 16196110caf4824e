"""The demo corpus: the Python standard library of the interpreter that runs this, read where it is installed.

Nothing of the text is stored in the repository. A document is one source file (`json/decoder.py`) or one help topic
(`topics/lambda`). Another interpreter version has other documents, but a name that both have falls on the same side of
the held-out split, because the split looks at the name alone. Needs the standard library only.
"""

import hashlib
import logging
import re
import sysconfig
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})
FOREIGN_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__", "_bundled"})
# Generated or copied tables: they are long, they repeat one pattern, and they would fill the samples of every neuron
# that knows it. `pydoc_data/topics.py` is read topic by topic instead.
TABLES = frozenset({"pydoc_data/topics.py", "html/entities.py", "msilib/schema.py", "msilib/sequence.py"})
MACHINE_FILE = re.compile(r"(^|/)_sysconfigdata|^config-")
HELD_OUT_ONE_IN = 20
SHORTEST_PARAGRAPH = 40

OnSkip = Callable[[str, str], None]


def log_skip(name: str, reason: str) -> None:
    """Log a document that could not be read; the default of `standard_library`."""
    logging.getLogger(__name__).warning("skipped %s: %s", name, reason)


def standard_library(root: Path | None = None, *, on_skip: OnSkip = log_skip) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every document: source files in the order of their names, then help topics.

    `root` is the folder of the library, by default that of the running interpreter; help topics are read from the
    running interpreter only. A file that cannot be decoded is passed to `on_skip` with the reason, and reading
    continues. Raises NotADirectoryError when the interpreter keeps its library in no folder (a zipped or frozen one).
    """
    yield from source_files(root or Path(sysconfig.get_path("stdlib")), on_skip=on_skip)
    if root is None:
        yield from help_topics(on_skip=on_skip)


def library_tests(*, on_skip: OnSkip = log_skip) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the library's own tests: used to train the model, but not part of the corpus."""
    yield from source_files(Path(sysconfig.get_path("stdlib")), wanted=is_test, on_skip=on_skip)


def source_files(
    root: Path, *, wanted: Callable[[str], bool] | None = None, on_skip: OnSkip = log_skip
) -> Iterator[tuple[str, str]]:
    """Yield (relative name, text) of the `.py` files under `root` whose name is `wanted`, each text once.

    By default these are the files that are neither tests nor tables.
    """
    wanted = wanted or is_source
    if not root.is_dir():
        raise NotADirectoryError(f"no standard library in a folder: {root}")
    seen: set[str] = set()
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    for name in sorted(files):
        if not wanted(name):
            continue
        try:
            with tokenize.open(files[name]) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError, OSError) as error:
            on_skip(name, str(error))
            continue
        if text.strip() and text not in seen and not is_codec_table(name, text):
            seen.add(text)
            yield name, text


def help_topics(*, on_skip: OnSkip = log_skip) -> Iterator[tuple[str, str]]:
    """Yield (`topics/NAME`, prose) for the help topics of the interpreter, without paragraphs that another one has."""
    try:
        from pydoc_data.topics import topics  # not every build of the interpreter has it
    except ImportError as error:
        on_skip("topics", str(error))
        return
    yield from distinct_topics(topics)


def distinct_topics(topics: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) in the order of the names; a paragraph stays in the longest topic that has it, and only there.

    Topics quote each other whole. Without this, held-out prose would be in the training text too, and the samples
    of a neuron would hold one passage several times.
    """
    seen: set[str] = set()
    kept: dict[str, str] = {}
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        paragraphs = [part for part in topics[name].split("\n\n") if part not in seen]
        seen.update(part for part in paragraphs if len(part) >= SHORTEST_PARAGRAPH)
        kept[name] = "\n\n".join(paragraphs)
    for name in sorted(kept):
        if len(kept[name]) >= SHORTEST_PARAGRAPH:
            yield f"topics/{name}", kept[name]


def is_source(name: str) -> bool:
    """Whether a relative file name is library source: no test, no installed package, no table, no machine file."""
    folders = set(name.split("/")[:-1])
    return not (folders & (TEST_FOLDERS | FOREIGN_FOLDERS) or name in TABLES or MACHINE_FILE.search(name))


def is_test(name: str) -> bool:
    """Whether a relative file name belongs to the library's own tests."""
    folders = set(name.split("/")[:-1])
    return bool(folders & TEST_FOLDERS) and not folders & FOREIGN_FOLDERS


def is_codec_table(name: str, text: str) -> bool:
    """Whether a file is one of the generated character maps of `encodings`."""
    return name.startswith("encodings/") and ("decoding_table" in text or "decoding_map" in text)


def is_held_out(name: str) -> bool:
    """Whether a document is held out of training: about one in 20, by the SHA-256 of its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % HELD_OUT_ONE_IN == 0


def split(
    documents: Iterable[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (training documents, held-out documents), both in the order given."""
    training: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for name, text in documents:
        (held_out if is_held_out(name) else training).append((name, text))
    return training, held_out
