"""The bounds of what people send and of what is stored, shared by forms, queries, workers and templates.

Lengths are in characters.
"""

BIGGEST_ID = 2**63 - 1
"""Ids are bigint: a larger number cannot be one, and Postgres would refuse to compare it."""
BIGGEST_LAYER = 2**15 - 1
BIGGEST_INDEX = 2**31 - 1
BIGGEST_TOKEN_ID = 2**31 - 1

LONGEST_NAME = 64
"""Of an account."""
LONGEST_EXPLANATION = 500
"""Characters, by a person or by a language model."""
LONGEST_NOTE = 2_000
"""To a flag or to a verdict."""
LONGEST_CAMPAIGN_NAME = 120
LONGEST_QUESTION = 300
LONGEST_INSTRUCTIONS = 10_000
LONGEST_GUESS = 500
"""Of what a reviewer writes before the text is shown."""
LONGEST_LIST_NAME = 80
"""Of a list of neurons, or of a saved search."""
LONGEST_LIST_NOTE = 500
LONGEST_TRIAL = 1_000
"""Of a text that is tried on a neuron."""
LONGEST_SEARCH = 200
LONGEST_SLUG = 64
LONGEST_SOURCE = 1_000
"""Of what a person names to import from."""
LONGEST_CONTEXT = 4_096
"""Tokens of an excerpt, in the form of a new subject."""
LONGEST_FIELD = 40
"""Of a form's field that holds a number or a word from a list."""
LONGEST_FILTERS = 2_000
"""Of the filters of a list, as a form repeats them."""
LONGEST_ADDRESS = 2_500
"""Of the page that a form returns to, with the filters of its list."""
LONGEST_LOGIN_TOKEN = 200
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
LONGEST_AGENT = 200
"""Of what a browser calls itself."""
LONGEST_EMAIL = 254
LONGEST_ENDPOINT = 1_000
"""Of an endpoint's address, or of a model's name or folder."""
LONGEST_KEY = 10_000
"""Of a language model's endpoint."""
LONGEST_OPENID_FIELD = 4_096
"""Of what an OpenID provider appends to the address that it sends a browser back to."""
LONGEST_TOKEN_DAYS = 365

MOST_LISTED = 5_000
"""Neurons of one list."""
MOST_SIDE_BY_SIDE = 4
"""Explanations in one comparison."""
MOST_IDS_IN_ADDRESS = 50
MOST_ITEMS = 100_000
"""Explanations that are added to a campaign at a time."""
MOST_IN_BATCH = 400_000
"""Neurons that one batch may hold, unless the installation's settings override it."""
