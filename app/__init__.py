"""The dashboard: what the screen shows and what the session remembers."""
