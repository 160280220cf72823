"""Documents into chunks: pure, and the same for every model."""
