"""Bytes in, documents out: one file a format, and the walk that finds the files."""
