"""Doubts about explanations: the facts they follow from, how they are kept, how they are counted."""
