"""Prefect flows over DVC's stage graph: when and where the stages run, never what they do.

DVC owns the graph and decides what is stale (`graph.py`); `run_stage.py` runs one stage as one
`dvc repro --single-item` process family that dies with its flow (`guard.py`); `schedule.py` and
`slots.py` decide which stage starts next and on what; `flow.py` shows all of it to Prefect.
"""
