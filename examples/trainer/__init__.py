"""What train_mnist.py stands on: configs, data, models by name, progress and results."""
