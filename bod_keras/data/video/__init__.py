"""Video file, frame folder or array -> frames."""
