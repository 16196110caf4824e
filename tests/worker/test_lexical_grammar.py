import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.lexical.classes import CLASSES
from worker.lexical.grammar import (
    ANY,
    Affixed,
    AffixKind,
    Clause,
    Condition,
    Named,
    Near,
    Quoted,
    Reach,
    Spot,
    Target,
    sentence,
)
from worker.lexical.parser import parse
from worker.lexical.wording import contradicts, in_order_of_kinds

TOKENS = st.one_of(st.binary(min_size=1, max_size=6), st.text(min_size=1, max_size=6).map(str.encode))
TARGETS: st.SearchStrategy[Target] = st.one_of(
    TOKENS.map(Quoted),
    TOKENS.map(lambda token: Quoted(token, any_case=True)),
    st.sampled_from([Named(c.name) for c in CLASSES]),
    st.builds(Affixed, st.sampled_from(AffixKind), st.text("abcdé", min_size=1, max_size=4)),
)
LISTS = st.lists(TARGETS, min_size=1, max_size=4).map(tuple)
CONDITIONS = st.lists(st.one_of(st.sampled_from(Spot), st.builds(Near, st.sampled_from(Reach), LISTS)), max_size=3).map(
    tuple
)
CLAUSES = st.builds(Clause, st.integers(0, 10), LISTS, CONDITIONS)


@given(st.lists(CLAUSES, min_size=1, max_size=4).map(tuple))
def test_the_parser_reads_exactly_what_the_grammar_writes(clauses: tuple[Clause, ...]) -> None:
    assert parse(sentence(clauses)) == clauses


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    for clause in parse(text):
        assert clause.targets
        assert 0 <= clause.strength <= 10


def test_a_sentence_reads_like_english() -> None:
    clauses = (
        Clause(9, (Quoted(b" import"), Quoted(b" from")), (Spot.LINE_START,)),
        Clause(0, (Quoted(b" import"), Quoted(b" from")), (Near(Reach.NEXT, (Quoted(b">>>"), Quoted(b"..."))),)),
        Clause(7, (ANY,), (Near(Reach.NEXT, (Quoted(b"quot"),)),)),
        Clause(3, (Named("digits"), Affixed(AffixKind.SUFFIX, "ing"))),
    )
    assert sentence(clauses) == (
        'fires strongly on " import" and " from" at the start of a line, but not after ">>>" or "...", '
        'on the token after "quot", weakly on digits and words ending in "ing"'
    )


def test_a_strength_that_several_claims_share_is_said_once() -> None:
    clauses = (
        Clause(3, (Quoted(b"a"),), (Near(Reach.NEXT, (Quoted(b"("), Quoted(b"["))),)),
        Clause(3, (Named("digits"),)),
        Clause(7, (Quoted(b"b"),)),
        Clause(7, (ANY,), (Near(Reach.LINE, (Quoted(b"c"),)),)),
        Clause(2, (Quoted(b"d"),)),
        Clause(2, (Quoted(b"e"),)),
    )
    assert sentence(clauses) == (
        'fires weakly on "a" after "(" or "[", also on digits, more strongly on "b", '
        'also on the rest of a line after "c", on "d" (2), on "e" (2)'
    )
    assert parse(sentence(clauses)) == clauses


IMPORT = Quoted(b"import")
DIGITS, COMMAS = Named("digits"), Named("commas")
THE_WORD = Quoted(b"import", any_case=True)
AFTER_EQUALS = Near(Reach.NEXT, (Quoted(b"="),))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ('"import"', (Clause(7, (IMPORT,)),)),
        ("`import`", (Clause(7, (IMPORT,)),)),
        ("“import”", (Clause(7, (IMPORT,)),)),
        ("the neuron's favourite is 'import'", (Clause(7, (IMPORT,)),)),
        ('the word "import"', (Clause(7, (THE_WORD,)),)),
        ("It fires weakly on digits and also on commas.", (Clause(3, (DIGITS,)), Clause(3, (COMMAS,)))),
        ("Strongly on digits. Also on commas.", (Clause(9, (DIGITS,)), Clause(9, (COMMAS,)))),
        ("Also on commas.", (Clause(7, (COMMAS,)),)),
        ("strongly on digits, but not on commas, also on 'import'", (
            Clause(9, (DIGITS,)), Clause(0, (COMMAS,)), Clause(7, (IMPORT,)),
        )),
        ("The word import.", (Clause(7, (THE_WORD,)),)),
        ("words like import, from and as", (Clause(7, (THE_WORD, Quoted(b"from", True), Quoted(b"as", True))),)),
        ("words such as “import”", (Clause(7, (IMPORT,)),)),
        ("Digits", (Clause(7, (Named("digits"),)),)),
        ("numbers following '='", (Clause(7, (Named("digits"),), (AFTER_EQUALS,)),)),
        ("the number 5", (Clause(7, (Quoted(b"5"),)),)),
        ("8 spaces", (Clause(7, (Quoted(b" " * 8),)),)),
        ("capitalized words", (Clause(7, (Named("capitalised words"),)),)),
        ("UPPERCASE words", (Clause(7, (Named("upper-case words"),)),)),
        ('on "import" (4)', (Clause(4, (IMPORT,)),)),
        ('"import" weakly, digits', (Clause(3, (IMPORT,)), Clause(7, (Named("digits"),)))),
        ('after "=" it fires on digits', (Clause(7, (Named("digits"),), (AFTER_EQUALS,)),)),
        ('fires when it comes after "="', (Clause(7, (ANY,), (AFTER_EQUALS,)),)),
        ('digits except after "="', (Clause(7, (Named("digits"),)), Clause(0, (Named("digits"),), (AFTER_EQUALS,)))),
        ('not only "import"', (Clause(7, (IMPORT,)),)),
        ("the second part of a word", (Clause(7, (ANY,), (Spot.IN_WORD,)),)),
        ("the first word of a line", (Clause(7, (ANY,), (Spot.LINE_START,)),)),
        ("closing parentheses; commas in strings", (
            Clause(7, (Named("closing brackets"),)), Clause(7, (Named("commas"),), (Spot.IN_QUOTES,)))),
        ('words that end with "ing"', (Clause(7, (Affixed(AffixKind.SUFFIX, "ing"),)),)),
        ('"import" after "a", digits', (
            Clause(7, (IMPORT,), (Near(Reach.NEXT, (Quoted(b"a"),)),)), Clause(7, (Named("digits"),)))),
    ],
)  # fmt: skip
def test_what_people_write_is_read_with_good_will(text: str, clauses: tuple[Clause, ...]) -> None:
    assert parse(text) == clauses


@pytest.mark.parametrize("text", ["", "words related to sports", "something about law and order", '""', "it's unclear"])
def test_a_text_without_a_claim_gives_no_clause(text: str) -> None:
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("text", "strengths"),
    [
        ('fires weakly on "a", more strongly on "b"', [3, 7]),
        ('fires weakly on "a" after "c", more strongly on "b", very weakly on "d"', [3, 7, 1]),
        ('fires on "a", more strongly on "b"', [7, 9]),
        ('fires more strongly on "b"', [9]),
        ('not on "a", more strongly on "b"', [0, 9]),
    ],
)
def test_more_strongly_is_measured_by_the_claim_before_it(text: str, strengths: list[int]) -> None:
    assert [clause.strength for clause in parse(text)] == strengths


@pytest.mark.parametrize(
    ("target", "condition", "is_absurd"),
    [
        (Named("words"), Spot.IN_WORD, True),
        (Named("punctuation"), Spot.IN_WORD, True),
        (ANY, Spot.IN_WORD, False),
        (Quoted(b"ing"), Spot.IN_WORD, False),
        (Named("words"), Near(Reach.NEXT, (Named("capitalised words"),)), True),
        (Named("words"), Near(Reach.NEXT, (Quoted(b"_"),)), False),
        (Named("digits"), Near(Reach.NEXT, (Named("words"),)), False),
        (Named("words"), None, False),
        (Named("white space"), Spot.REPEATED, True),
        (Quoted(b" self"), Spot.REPEATED, False),
        (Named("commas"), Spot.LATE, True),
        (ANY, Spot.LATE, False),
    ],
)
def test_what_contradicts_itself_is_not_said(target: Target, condition: Condition | None, is_absurd: bool) -> None:
    assert contradicts(target, condition) is is_absurd


def test_a_list_names_classes_first_then_endings_words_and_signs() -> None:
    targets: list[Target] = [
        Quoted(b"("),
        Quoted(b" if"),
        Named("digits"),
        Quoted(b" or"),
        Affixed(AffixKind.SUFFIX, "ing"),
    ]
    assert in_order_of_kinds(targets) == (targets[2], targets[4], targets[1], targets[3], targets[0])
