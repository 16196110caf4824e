from datetime import UTC, datetime

import pytest

from app.web.provenance.citation import Citation
from app.web.provenance.facts import FactPart, provenance_facts

PROVENANCE = {
    "zeal": 1,
    "shown": {"train": [7, 8], "bands": [], "odd": "x"},
    "seed": 5,
    "method": {"name": "lexical", "version": 1, "parameters": {"best_of": 4}},
    "scorers": [{"name": "correlation", "version": 1}, {"name": "whole_corpus", "version": 2}],
    "site": {"kind": "mlp_post_activation", "read": "input of c_proj"},
    "provider": None,
    "raw_reply": "line\nline",
    "is_cached": False,
}


def test_facts_are_lines_in_a_fixed_order_with_links_to_excerpts() -> None:
    facts = provenance_facts(PROVENANCE, neuron="/tiny/0/1")
    assert [(fact.label, [part.text for part in fact.parts]) for fact in facts] == [
        ("Seed", ["5"]),
        ("Site", ["kind mlp_post_activation, read input of c_proj"]),
        ("Method", ["lexical v1 (best of 4)"]),
        ("Scorers", ["correlation v1, whole_corpus v2"]),
        ("Excerpts shown: train", ["7", "8"]),
        ("Is cached", ["no"]),
        ("Zeal", ["1"]),
    ]
    assert facts[4].parts[0] == FactPart("7", "/tiny/0/1/excerpts/7")


@pytest.mark.parametrize("provenance", [{}, {"shown": None}, {"shown": []}, {"method": {}}, {"seed": None}])
def test_what_is_not_recorded_has_no_line(provenance: dict[str, object]) -> None:
    assert provenance_facts(provenance, neuron="/tiny/0/1") == ()


def test_a_citation_names_text_neuron_author_day_and_digest() -> None:
    citation = Citation(7, "fires on 50% of {x}_y", "lexical v1", "tiny 0/1", datetime(2026, 5, 4, tzinfo=UTC))
    sentence = citation.sentence("https://audit.example/explanations/7")
    assert sentence == (
        "“fires on 50% of {x}_y”, explanation 7 of neuron tiny 0/1 by lexical v1, 2026-05-04, "
        f"text sha256:{citation.digest}. https://audit.example/explanations/7"
    )
    assert len(citation.digest) == 16
    bibtex = citation.bibtex("https://audit.example/explanations/7")
    assert r"title = {{fires on 50\% of \{x\}\_y}}," in bibtex
    assert bibtex.count("{") - bibtex.count(r"\{") == bibtex.count("}") - bibtex.count(r"\}")
