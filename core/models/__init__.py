"""What a model is: its shape, windows, prompt style and measured abilities."""
