"""The parts that all ways to log in share, and the client of the OpenID provider."""
