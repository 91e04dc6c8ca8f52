"""The local load balancer: one port per target group."""
