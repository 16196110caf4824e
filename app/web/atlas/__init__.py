"""All neurons of a subject in one picture: what is kept of it between requests."""
