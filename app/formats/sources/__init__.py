"""Where files come from: a folder, a file, an archive, an HTTP server."""
