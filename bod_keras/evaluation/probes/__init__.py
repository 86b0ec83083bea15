"""What can be read from features: classifiers, neighbors, and how their answers are counted."""
