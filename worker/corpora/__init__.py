"""Corpora: texts from files of many kinds, read one at a time in bounded memory."""
