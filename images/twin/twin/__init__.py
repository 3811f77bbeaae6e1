"""LLM Twin's jobs: crawl, features, datasets, training, evaluation, rollout and serving."""
