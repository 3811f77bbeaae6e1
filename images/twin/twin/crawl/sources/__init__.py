"""Sources that are not web sites: one module per kind."""
