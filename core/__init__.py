"""What lctx is: documents, plans, engines, answers and citations, without a terminal or a file format."""
