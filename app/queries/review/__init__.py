"""Campaigns, their items, verdicts and flags."""
