"""The job of rt_live: one state's daily counts in, its effective reproduction number Rt with an interval out."""
