"""Models as people use them: an OpenAI-compatible API, and a page on which one sees them think."""
