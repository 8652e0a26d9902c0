"""Every sentence that a screen, a report or the command line says of numbers."""
