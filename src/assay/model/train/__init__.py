"""Fine-tuning in segments: the recipe, the engine of one device, the loss, the state on disk."""
