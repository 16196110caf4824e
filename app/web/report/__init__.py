"""The audit report of a campaign: one document as HTML, PDF and JSON."""
