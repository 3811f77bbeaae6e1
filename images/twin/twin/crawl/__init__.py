"""Stage: what the author has published, fetched into the warehouse."""
