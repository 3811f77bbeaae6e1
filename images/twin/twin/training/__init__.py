"""Stage: the base model becomes the twin (SFT, DPO, package)."""
