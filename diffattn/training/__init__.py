"""From a configuration to a trained, saved run."""
