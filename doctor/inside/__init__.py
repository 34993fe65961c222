"""What the target's own interpreter runs: folders that Python is started on."""
