"""Page functions, one module per section of the site."""
