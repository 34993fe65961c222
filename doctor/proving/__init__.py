"""Running a generation, and what it proves."""
