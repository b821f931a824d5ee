"""Models in the formats of other programs: GPTQ, GGUF, Ollama."""
