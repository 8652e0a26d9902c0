"""A course in ten steps: made-up experts, what each step computes, its text, and a page to print."""
