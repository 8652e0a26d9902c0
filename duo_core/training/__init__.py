"""Models made from images: the linear probe, fine-tuning from it, random search, and averages of weights."""
