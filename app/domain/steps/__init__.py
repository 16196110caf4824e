"""The one catalogue of a method's steps: what each is, needs, costs and cannot see. The worker has the code."""
