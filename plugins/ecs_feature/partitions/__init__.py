"""Partitions: what one run computes, a day or another length of time, or what the user says."""
