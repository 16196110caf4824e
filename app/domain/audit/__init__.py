"""The statistics of an audit: pure functions of counts and verdicts, without database or HTTP."""
