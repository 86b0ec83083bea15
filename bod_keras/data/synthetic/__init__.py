"""Built-in videos whose factors are known."""
