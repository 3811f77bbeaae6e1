"""Stage: a candidate is measured, and promoted if the gate lets it pass.

Every measure is a function of the held-out samples, so that one paired bootstrap (`resampling`)
gives all intervals. The measures: `perplexity`, `overlap` (ROUGE-L), `style`, `meaning`,
`retrieval`, and the plain checks of `soundness`. `gate` decides, `report` says why.
"""
