"""Tools that the queries of all aggregates share: prepared statements, keyset pages, COPY, input checks."""
