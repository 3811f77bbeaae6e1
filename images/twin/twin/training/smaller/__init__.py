"""Smaller models made of a trained twin: students that it teaches, and copies with less in them."""
