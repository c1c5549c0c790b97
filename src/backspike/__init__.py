"""Generator of accelerators that train spiking neural networks, equal to PyTorch bit for bit."""

__version__ = "0.1.0"
