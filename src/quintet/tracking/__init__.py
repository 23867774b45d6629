"""What ran, with which settings and what came of it.

A run writes a journal (`journal`) into its own folder; MLflow is a projection of the journals (`store`,
`projector`, `sync`) and can be rebuilt from them. This is the only package that imports mlflow, and it does
so late: `journal` and `provenance` cost nothing to import.
"""
