"""The feature job: one carrier's flights of one day in, one Parquet file of features out."""
