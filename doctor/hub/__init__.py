"""A model's files from the Hub: fetching, mending, and room for them."""
