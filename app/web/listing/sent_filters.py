"""The filters of a list as routes receive them, one query parameter each."""

from typing import Annotated

from fastapi import Depends, Query

from app.domain.authors import AuthorKind
from app.domain.bounds import LONGEST_FIELD, LONGEST_NAME
from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.domain.review import Verdict
from app.domain.slugs import LONGEST_KEY
from app.web.listing.filters import SORT_LABELS, FilterFields, ListRequest, TokenMatch, read_filters

Text = Annotated[str, Query(max_length=LONGEST_FIELD)]

Share = Annotated[str, Query(max_length=LONGEST_FIELD, description="A share, or a percentage with its sign")]


async def sent_ranges(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    layer_min: Text = "",
    layer_max: Text = "",
    index_min: Text = "",
    index_max: Text = "",
    headline_min: Text = "",
    headline_max: Text = "",
    score_min: Text = "",
    score_max: Text = "",
    margin_min: Text = "",
    margin_max: Text = "",
    twin_min: Share = "",
    twin_max: Share = "",
    rate_min: Share = "",
    rate_max: Share = "",
) -> dict[str, str]:
    """Lowest and highest layers and indices, scores, margins over the token table, firing rates."""
    return {
        "layer_min": layer_min, "layer_max": layer_max, "index_min": index_min, "index_max": index_max,
        "headline_min": headline_min, "headline_max": headline_max, "score_min": score_min, "score_max": score_max,
        "margin_min": margin_min, "margin_max": margin_max, "twin_min": twin_min, "twin_max": twin_max,
        "rate_min": rate_min, "rate_max": rate_max,
    }  # fmt: skip


async def sent_origins(
    token_match: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(TokenMatch))] = "",
    made_by: Annotated[str, Query(max_length=LONGEST_NAME, description="Method of the explanation shown first")] = "",
    author: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(AuthorKind))] = "",
    verdict: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(Verdict))] = "",
    in_list: Annotated[str, Query(max_length=LONGEST_KEY, description="A list of neurons: its number and name")] = "",
) -> dict[str, str]:
    """How a token is matched, who made the explanation, and what reviewers settled on."""
    return {"token_match": token_match, "made_by": made_by, "author": author, "verdict": verdict, "in_list": in_list}


async def sent_filters(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    ranges: Annotated[dict[str, str], Depends(sent_ranges)],
    origins: Annotated[dict[str, str], Depends(sent_origins)],
    layer: Text = "",
    state: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(NeuronState))] = "",
    doubt: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(Doubt))] = "",
    words: Annotated[str, Query(description="In the explanation, as in web search engines")] = "",
    meaning: Annotated[str, Query(description="What explanations should mean, once somebody has searched for it")] = "",
    token: Annotated[str, Query(max_length=LONGEST_FIELD, description="Among the neuron's strongest tokens")] = "",
    by: Annotated[str, Query(max_length=LONGEST_NAME, description="Who has flagged or written an explanation")] = "",
    simulator: Annotated[str, Query(description="Of the score, with its calibration, e.g. structured+linear")] = "",
    *,
    sort: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(SORT_LABELS))] = "",
) -> ListRequest:
    """The filters of the URL. Raises Invalid."""
    own = {
        "layer": layer, "state": state, "doubt": doubt, "words": words, "meaning": meaning, "token": token,
        "by": by, "simulator": simulator,
    }  # fmt: skip
    return read_filters(FilterFields(**ranges, **origins, **own, sort=sort))


ListFilters = Annotated[ListRequest, Depends(sent_filters)]
