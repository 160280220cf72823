"""From an answer to citations that were checked against their source."""
