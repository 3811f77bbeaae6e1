"""Stage: a candidate is measured, and the gate promotes, holds or rejects it.

Every measure is a function of how often each held-out sample counts, so that one way of leaving out
groups of documents (`resampling`) gives all intervals. The measures: `perplexity`, `overlap`
(ROUGE-L), `style`, `meaning`, `retrieval`, the figures of `answers`, and the plain checks of
`soundness`. `contamination` proves that nobody was trained on the test, `gate` decides, `power`
says what the set could show, `report` says why.
"""
