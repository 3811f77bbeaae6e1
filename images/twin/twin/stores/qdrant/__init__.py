"""The parts of the index on a Qdrant server: its collections, their reader and writer."""
