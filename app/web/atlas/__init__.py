"""The picture of all neurons of a subject: what is cached between requests."""
