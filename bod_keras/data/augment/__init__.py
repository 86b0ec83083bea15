"""Clip -> clip, one random draw for all frames."""
