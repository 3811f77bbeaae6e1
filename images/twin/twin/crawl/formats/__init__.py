"""One module per file format: bytes of a page or file to an `Article`."""
