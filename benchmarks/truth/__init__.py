"""Whether scores tell the truth: ``python -m benchmarks.truth [--quick] [--json FILE]``.

Right explanations against ones that are wrong in a known way, sanity checks on neurons whose labels are known, the
coverage of intervals, and what is reached on a network without meaning. A pool of excerpts of the demo's corpus is the
whole corpus here, so that what scores estimate is known.
"""
