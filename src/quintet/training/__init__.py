"""How any network is trained: settings, batches, augmentation, optimiser, precision, resuming."""
