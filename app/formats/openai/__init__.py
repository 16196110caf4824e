"""OpenAI's neuron-explainer: a file of activations and a file of explanations for each neuron."""
