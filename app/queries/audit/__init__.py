"""The results of a campaign's audit: figures, statements, the facts of a report, tables for export."""
