"""The only room that imports torch: fine-tune, evaluate loss, answer."""
