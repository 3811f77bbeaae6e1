"""Stage: the HTTP endpoint that answers as the author."""
