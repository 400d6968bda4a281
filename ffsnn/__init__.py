"""Forward-forward training of spiking neural networks: data, network, trainer."""
