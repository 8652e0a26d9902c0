"""What tables and predictions say: pairs to recommend, claims, thresholds with a guarantee, what moves, how few images do."""
