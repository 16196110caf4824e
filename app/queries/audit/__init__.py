"""What an audit says of a campaign: figures, statements, the facts of a report, tables for export."""
