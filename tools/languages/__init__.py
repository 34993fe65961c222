"""The catalogues of the doctor's texts: found in the source, kept as gettext's files, compiled."""
