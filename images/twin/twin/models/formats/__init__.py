"""Chat formats: how a model family writes a conversation, ends an answer and marks its turns."""
