"""What AWS refuses in a task definition, as a table of rules."""
