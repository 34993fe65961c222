"""What a model takes on this machine: tables, drawings, run profiles, watched runs."""
