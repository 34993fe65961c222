"""What damage to a model's files does to a generation, tried for real, and what the doctor says."""
