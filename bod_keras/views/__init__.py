"""Keras layers that make a view of a clip: the same appearance, or the same motion."""
