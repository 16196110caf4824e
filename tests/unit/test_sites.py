from hypothesis import given
from hypothesis import strategies as st

from app.domain.sites import Site, SiteKind, SiteTensor

SITES = st.builds(
    Site,
    st.sampled_from(SiteKind),
    st.text(max_size=20).map(lambda text: f"{text}{{layer}}"),
    st.lists(st.integers(1, 10**6), min_size=1).map(tuple),
    st.sampled_from(SiteTensor),
)


@given(SITES)
def test_a_stored_site_is_the_same_site(site: Site) -> None:
    assert Site.from_json(site.as_json()) == site


def test_a_site_says_which_module_it_reads() -> None:
    site = Site(SiteKind.MLP_POST_ACTIVATION, "model.layers.{layer}.mlp.down_proj", (4, 4))
    assert site.module(1) == "model.layers.1.mlp.down_proj"
    assert site.read_at(1) == "input of model.layers.1.mlp.down_proj"
    assert site.read_at() == "input of model.layers.{layer}.mlp.down_proj"


@given(SITES)
def test_braces_in_a_path_are_nothing_but_text(site: Site) -> None:
    assert site.module(3) == site.module_path.replace("{layer}", "3")
