"""Models that indicators of samples need: embeddings, reward models, hidden states, influence."""
