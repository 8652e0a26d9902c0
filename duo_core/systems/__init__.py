"""What is compared: systems of members, their fit, what they predict and how well; logits (n, k) in, Predictions and tables out."""
