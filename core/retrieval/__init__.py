"""Question x chunks -> the passages that are worth reading."""
