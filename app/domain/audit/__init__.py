"""The statistics of an audit: pure functions of counts and verdicts, which know neither database nor page."""
