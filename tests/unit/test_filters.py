from app.localization.languages import Language
from app.web.rendering.filters import filters_of, kind_title, pretty_json, words


def test_names_of_samples_are_headings() -> None:
    assert kind_title("top") == "Top excerpts"
    assert kind_title("something_new") == "something_new"
    assert words("top_and_random") == "top and random"


def test_lists_of_numbers_are_on_one_line() -> None:
    assert pretty_json({"a": [1, -2.5, 3e-7], "b": ["x"]}) == '{\n  "a": [ 1, -2.5, 3e-07 ],\n  "b": [\n    "x"\n  ]\n}'


def test_every_language_has_the_same_filters() -> None:
    english, french = (filters_of(language) for language in Language)
    assert english.keys() == french.keys()
    assert (english["percent"](0.5), french["percent"](0.5)) == ("50.0%", "50,0\xa0%")
