"""For those who support others: bundles, redaction, comparison, whole rooms."""
