"""The ground: arrays and their checks, files, parallel work, text of others; what every room may use."""
