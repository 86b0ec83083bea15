"""Records -> batches of clips: which frames, in which order, read by which process."""
