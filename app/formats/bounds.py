"""How much of a file is held in memory at a time, and what no honest file needs."""

MEBIBYTE = 2**20

MOST_DOCUMENT_BYTES = 192 * MEBIBYTE
"""Of a file that is one JSON value: only its bytes are held, its parts are decoded one by one."""
MOST_RECORD_BYTES = 32 * MEBIBYTE
"""Of one line, or one decoded part of a document. A neuron's record of 60 excerpts of 64 tokens has 0.1 MiB."""
MOST_FILE_BYTES = 2**40
"""Of one file, unpacked."""
MOST_MEMBERS = 5_000_000
"""Files of one folder or archive. All of GPT-2 XL is 1.2 million."""
MOST_FOLDERS = 50
"""Folders within folders."""
MOST_NAME = 1_000
"""Characters of the name of a member."""
MOST_RATIO = 200
"""Bytes unpacked for each packed byte; what is below ``FREE_BYTES`` is not looked at. JSON of activations has 5."""
FREE_BYTES = 64 * MEBIBYTE
MOST_TOKENS = 100_000
"""Of one excerpt."""
MOST_RECORDS = 10_000
"""Of one sample in one record."""
MOST_TEXT = 50_000
"""Characters of an explanation."""
BIGGEST_ACTIVATION = 65_504.0
"""What float16, the type of stored activations, can hold."""
