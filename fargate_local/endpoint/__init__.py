"""The HTTP endpoint: whose call it is, who may make it, what is recorded of it, and our own paths."""
