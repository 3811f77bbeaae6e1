"""Engines: what runs a language model, behind one asynchronous protocol."""
