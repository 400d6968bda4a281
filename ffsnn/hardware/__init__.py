"""What a training runs on: the device, its memory, and the errors when there is not enough."""
