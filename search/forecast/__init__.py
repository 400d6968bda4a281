"""The sampler forecast: its model of configurations, and the recorded surfaces that it has learnt from."""
