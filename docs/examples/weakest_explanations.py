"""Print the explanations of a subject that the whole corpus contradicts most, by the API.

    python weakest_explanations.py http://127.0.0.1:8250 SUBJECT [TOKEN]

Needs nothing but Python. TOKEN is a token of the scope *read*, for sites that require an account.
"""

import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any


def lines(site: str, path: str, token: str | None = None) -> Iterator[dict[str, Any]]:
    """The JSON objects of a table, one by one, however long it is."""
    request = urllib.request.Request(f"{site}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        for line in response:
            yield json.loads(line)


def main(site: str, subject: str, token: str | None = None) -> None:
    """Print ten neurons: a high 2023 score, a low one over the whole corpus."""
    neurons = [
        neuron
        for neuron in lines(site, f"/api/subjects/{subject}/neurons", token)
        if neuron["whole_corpus_score"] is not None and neuron["score_2023"] is not None
    ]
    neurons.sort(key=lambda neuron: neuron["score_2023"] - neuron["whole_corpus_score"], reverse=True)
    for neuron in neurons[:10]:
        address = f"{site}/{subject}/{neuron['layer']}/{neuron['index']}"
        print(f"{neuron['score_2023']:.2f} {neuron['whole_corpus_score']:.2f} {address} {neuron['explanation']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
