"""What MLflow runs to load a model it keeps ("models from code"): no pickle, the classes come from quintet."""

from mlflow.models import set_model

from quintet.tracking.serving import ServedModel

set_model(ServedModel())
