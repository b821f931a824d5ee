"""Loss on reference answers and answers of a model's own: transformers, vLLM, llama.cpp, chat."""
