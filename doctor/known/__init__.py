"""Known incidents: what they are, and finding them in facts and in pasted texts."""
