"""Web sources: which addresses may be reached, which pages belong to a site, and the spider."""
