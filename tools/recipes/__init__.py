"""Making the recipes: locks, sizes, extras and proofs (``make recipes``)."""
