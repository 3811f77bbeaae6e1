"""The whole platform as processes on one machine: make up, make demo, make down."""
