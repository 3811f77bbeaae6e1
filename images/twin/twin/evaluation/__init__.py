"""Stage: a candidate is measured, and promoted if the gate lets it pass."""
