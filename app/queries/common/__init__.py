"""What the queries of every aggregate share: prepared statements, keyset pages, COPY, checked input."""
