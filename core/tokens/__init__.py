"""Exact token ids with the served model's own tokenizer, and the counts that are kept."""
