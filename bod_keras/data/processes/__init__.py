"""Worker processes with a time limit for each item, of which none can hold up the rest."""
