"""Pure rules of the field: records, tokens, scores. Standard library and numpy only."""
