"""The language that the lexical explainer writes and the lexical simulator reads."""
