"""DVC's stage graph as plain data, and what a run of it would take: shared by `quintet plan` and the flow.

`stages.py` asks DVC for the graph and for what is stale; `cost.py` knows what stages took before; `plan.py` puts
the two together.
"""
