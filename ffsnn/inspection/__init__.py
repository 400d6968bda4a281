"""A trained network looked at: its spikes, pictures, energy, predictions."""
