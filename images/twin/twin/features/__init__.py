"""Stage: documents become chunks, chunks become an index."""
