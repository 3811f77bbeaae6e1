"""What the DAGs share: light imports only, and nothing that connects to anything at import."""
