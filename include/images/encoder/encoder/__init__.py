"""The encoder service: categorical columns of a flight in, a short vector out. Stateless, one process serves
one variant."""
