"""This program's own formats, which contain all stored data of a neuron: JSON lines and Parquet."""
