"""The parts of the embedded index: what is on disk, its reader, its one writer."""
