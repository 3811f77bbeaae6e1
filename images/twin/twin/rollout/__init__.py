"""Stage: the champion is brought into service, or taken out again."""
