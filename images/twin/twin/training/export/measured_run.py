"""What every engine is given when a product's speed and memory are measured."""

PROMPT_TEXT = "The quick brown fox jumps over the lazy dog. " * 60
PROMPT_TOKENS = 256
"""Of the text, which are read."""
WRITTEN_TOKENS = 64
KIB = 1024
