"""The one catalogue of a method's steps: what each does, needs, costs and cannot notice. The code is in ``worker``."""
