"""The nouns of the system. Pure data: nothing here reads a file, a clock or a network."""
