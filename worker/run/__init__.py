"""How work is executed: the worker process, its loops, leases and outages."""
