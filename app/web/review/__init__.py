"""Code that the pages of reviewing share."""
