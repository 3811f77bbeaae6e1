"""Backups of what the stores hold of a recipe, in the file store."""
