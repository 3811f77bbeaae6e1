"""A trained version as files that others run: GGUF, Modelfile, index, card."""
