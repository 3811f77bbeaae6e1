"""A twin in service, looked at hour by hour: what is measured, told to people, and started."""
