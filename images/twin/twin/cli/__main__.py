"""`python -m twin.cli` is `twin`."""

from twin.cli import main

main()
