"""Limits on what people send and on what is stored, shared by forms, queries, workers and templates.

``LONGEST_`` limits are in characters if nothing else is said.
"""

BIGGEST_ID = 2**63 - 1
"""The largest bigint, the type of ids: Postgres raises an error if a larger number is compared with an id."""
BIGGEST_LAYER = 2**15 - 1
BIGGEST_INDEX = 2**31 - 1
BIGGEST_TOKEN_ID = 2**31 - 1

LONGEST_NAME = 64
"""An account's name."""
LONGEST_EXPLANATION = 500
"""An explanation's text, by a person or by a language model."""
LONGEST_NOTE = 2_000
"""The note to a flag or to a verdict."""
LONGEST_CAMPAIGN_NAME = 120
LONGEST_QUESTION = 300
LONGEST_INSTRUCTIONS = 10_000
LONGEST_GUESS = 500
"""A reviewer's own guess, written before the explanation is shown."""
LONGEST_LIST_NAME = 80
"""The name of a list of neurons or of a saved search."""
LONGEST_LIST_NOTE = 500
LONGEST_TRIAL = 1_000
"""A text that is tried on a neuron."""
LONGEST_SEARCH = 200
LONGEST_SLUG = 64
LONGEST_SOURCE = 1_000
"""The path or identifier that a person names to import from."""
LONGEST_CONTEXT = 4_096
"""Tokens of an excerpt, in the form of a new subject."""
LONGEST_FIELD = 40
"""A form field that holds a number or one of several words."""
LONGEST_FILTERS = 2_000
"""The filters of a list, repeated in a form's hidden field."""
LONGEST_ADDRESS = 2_500
"""The address that a form returns to, with the filters of its list."""
LONGEST_LOGIN_TOKEN = 200
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
LONGEST_AGENT = 200
"""A browser's User-Agent."""
LONGEST_EMAIL = 254
LONGEST_ENDPOINT = 1_000
"""An endpoint's address, or a model's name or folder."""
LONGEST_KEY = 10_000
"""The key of a language model's endpoint."""
LONGEST_OPENID_FIELD = 4_096
"""A query parameter that an OpenID provider appends to the redirect address."""
LONGEST_TOKEN_DAYS = 365

MOST_LISTED = 5_000
"""Neurons in one list."""
MOST_SIDE_BY_SIDE = 4
"""Explanations in one comparison."""
MOST_IDS_IN_ADDRESS = 50
MOST_ITEMS = 100_000
"""Explanations added to a campaign in one request."""
MOST_IN_BATCH = 400_000
"""Neurons in one batch, unless the installation's settings override it."""
