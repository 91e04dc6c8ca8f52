"""``make bench``: the same fan-out on our side and on the stock operator's, measured on a real Airflow."""
