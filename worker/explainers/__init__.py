"""Text from train records, one module per explainer."""
