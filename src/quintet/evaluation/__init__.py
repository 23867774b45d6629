"""What a trained model is worth on unseen examples, and how sure we may be of it."""
