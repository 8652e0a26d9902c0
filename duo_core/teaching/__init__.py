"""A course in eight steps: made-up experts, what each step computes, its text, and a page to print."""
