import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.methods import BUILTIN_METHODS, LEXICAL, MethodDefinition
from app.errors import NotFound
from app.models import Method, Provider
from app.queries.methods.definitions import ensure_builtin_methods, method_definition, methods


def test_built_in_methods_are_inserted_once(session: Session) -> None:
    ensure_builtin_methods(session)
    ensure_builtin_methods(session)
    assert session.scalar(select(func.count()).select_from(Method)) == len(BUILTIN_METHODS)


def test_what_was_stored_is_read_back_as_it_was(session: Session) -> None:
    ensure_builtin_methods(session)
    for row in session.scalars(select(Method)):
        assert method_definition(session, method_id=row.id) in BUILTIN_METHODS


def test_a_new_version_is_offered_and_the_old_one_is_kept(session: Session) -> None:
    newer = MethodDefinition(LEXICAL.name, 2, "Lexical, newer", "lexical", "lexical", ("correlation",))
    ensure_builtin_methods(session, definitions=(LEXICAL,))
    ensure_builtin_methods(session, definitions=(LEXICAL, newer))
    assert [(m.name, m.version) for m in methods(session)] == [("lexical", 2)]
    assert session.scalar(select(func.count()).select_from(Method)) == 2


def test_a_method_is_offered_once_its_language_model_is_known_and_after_those_that_need_none(session: Session) -> None:
    asking = MethodDefinition("asking", 1, "Asking", "highlighted", "structured", ("correlation",), provider="house")
    ensure_builtin_methods(session, definitions=(LEXICAL, asking))
    assert [m.name for m in methods(session)] == ["lexical"]
    session.add(Provider(name="house", kind="local", model="a/b"))
    session.flush()
    assert [m.name for m in methods(session)] == ["lexical", "asking"]


@pytest.mark.parametrize(
    ("able", "offered"),
    [
        (None, ["scored", "asked"]),
        (["chat"], ["asked"]),
        (["chat", "chat_logprobs"], ["asked"]),
        (["chat", "prompt_logprobs"], ["scored", "asked"]),
        ([], []),
    ],
)
def test_a_method_is_offered_where_its_language_model_can_do_what_its_steps_need(
    session: Session, able: list[str] | None, offered: list[str]
) -> None:
    scorers = ("correlation",)
    ensure_builtin_methods(
        session,
        definitions=(
            MethodDefinition("scored", 1, "Scored", "highlighted", "all_at_once", scorers, provider="house"),
            MethodDefinition("asked", 1, "Asked", "highlighted", "structured", scorers, provider="house"),
        ),
    )
    session.add(Provider(name="house", kind="local", model="a/b", capabilities=able))
    session.flush()
    assert sorted(m.name for m in methods(session)) == sorted(offered)


def test_a_method_whose_steps_this_version_does_not_have_is_not_offered(session: Session) -> None:
    gone = MethodDefinition("gone", 1, "Gone", "magic", "lexical", ("correlation",))
    ensure_builtin_methods(session, definitions=(LEXICAL, gone))
    assert [m.name for m in methods(session)] == ["lexical"]


def test_an_unknown_method_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        method_definition(session, method_id=404)
