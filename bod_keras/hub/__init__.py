"""Finished runs for others: a repository on the Hugging Face hub, with a card that says what the model is."""

from bod_keras.hub.model_card import model_card
from bod_keras.hub.public_report import public_report
from bod_keras.hub.push_to_hub import push_to_hub

__all__ = ["model_card", "public_report", "push_to_hub"]
