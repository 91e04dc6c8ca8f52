"""The ECS operations, as functions of a context and a request."""
