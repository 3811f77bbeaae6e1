"""Query, retrieve, context, prompt, answer, cite."""
