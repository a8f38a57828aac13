"""Training: corpora, synthetic features, loops, checkpoints."""
