"""Limits on the parts of a file that are held in memory, beyond what any honest file needs."""

MEBIBYTE = 2**20

MOST_DOCUMENT_BYTES = 192 * MEBIBYTE
"""Bytes of a file that is one JSON value; only its bytes are held, and its parts are decoded one by one."""
MOST_RECORD_BYTES = 32 * MEBIBYTE
"""Bytes of one line, or one decoded part of a document. A neuron's record of 60 excerpts of 64 tokens has 0.1 MiB."""
MOST_FILE_BYTES = 2**40
"""Bytes of one file, unpacked."""
MOST_MEMBERS = 5_000_000
"""Files in one folder or archive. All of GPT-2 XL is 1.2 million."""
MOST_FOLDERS = 50
"""Depth of nested folders."""
MOST_NAME = 1_000
"""Characters of a member's name."""
MOST_RATIO = 200
"""Bytes unpacked per packed byte, checked only beyond ``FREE_BYTES``. JSON of activations has a ratio of 5."""
FREE_BYTES = 64 * MEBIBYTE
MOST_TOKENS = 100_000
"""Tokens of one excerpt."""
MOST_RECORDS = 10_000
"""Records of one sample in one record of a file."""
MOST_TEXT = 50_000
"""Characters of an explanation."""
BIGGEST_ACTIVATION = 65_504.0
"""The largest float16, the type of stored activations."""
