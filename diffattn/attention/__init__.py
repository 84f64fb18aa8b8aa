"""The attention mechanism: scores, softmax, layer. Needs Keras and NumPy alone."""
