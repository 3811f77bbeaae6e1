"""Classifiers that are trained on labelled texts: topic, quality, sentiment, safety."""
