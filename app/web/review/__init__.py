"""What the pages of reviewing share."""
