"""Base models: where they come from, pinned and kept once."""
