"""Arguments in, rendering out: the only room that knows a terminal."""
