"""The daily counts of the COVID Tracking Project (The Atlantic, CC BY 4.0), and the table and picture of rt_live."""
