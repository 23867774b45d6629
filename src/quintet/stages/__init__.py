"""What dvc.yaml calls: each stage reads its settings, builds the parts, runs them and writes one folder."""
