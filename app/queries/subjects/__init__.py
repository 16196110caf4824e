"""Subjects and their collections."""
