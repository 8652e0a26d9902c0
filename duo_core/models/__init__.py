"""All that builds models: the zoo, how images are prepared for each, tensors without numbers, what a model costs."""
