"""The commands of `duo`: options in, one line of complaint or a document out."""
