"""The feature job: one shard's flights of one day in, one Parquet file of features out."""
