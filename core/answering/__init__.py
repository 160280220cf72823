"""From a question and a plan to the event stream of one answer."""
