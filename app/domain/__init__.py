"""Pure rules of the field: records, tokens, scores. Standard library, numpy and scipy only."""
