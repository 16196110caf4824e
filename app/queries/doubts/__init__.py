"""Doubts about explanations: the facts behind them, storing, counting."""
