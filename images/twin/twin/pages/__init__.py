"""What stages show in a browser: pages that need nothing else, and the plots on them."""
