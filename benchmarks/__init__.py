"""Time and memory of each attention type, measured side by side with its peers."""
