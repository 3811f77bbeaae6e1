"""Stage: chunks become training samples."""
