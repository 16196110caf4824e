"""Between the network and the pages: headers, origins, compression, static files. Knows no page and no template."""
