"""The published JSON Schema of the reports."""
