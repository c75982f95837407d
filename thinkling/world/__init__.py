"""The procedural web: fictional encyclopedia, textbooks, forums and junk, written as WARC with ground truth."""
