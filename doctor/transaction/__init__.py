"""One transaction from a plan to a proof, or back to where it began."""
