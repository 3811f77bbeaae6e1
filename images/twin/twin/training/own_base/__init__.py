"""A small base model of one's own: tokenizer and decoder, trained from nothing."""
