"""How near estimates come to measured runs; ``make accuracy-memory`` prints it."""
