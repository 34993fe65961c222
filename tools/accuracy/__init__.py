"""The accuracy matrix (``make accuracy``): real environments, what is true of them, who sees it."""
