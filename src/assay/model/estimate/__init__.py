"""Memory and time of a training before it starts, from the shape of the model."""
