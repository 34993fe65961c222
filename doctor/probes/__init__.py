"""The probes: the only places that look at the world."""
