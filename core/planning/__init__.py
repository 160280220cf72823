"""Window arithmetic: what goes into the prompt, what stays out, and why."""
