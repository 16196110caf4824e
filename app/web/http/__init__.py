"""HTTP below the pages: headers, origins, compression, static files. Independent of pages and templates."""
