"""Systems of any number of members: what they are, how they are fitted, and what they answer."""
