"""From crawled web pages to clean documents to token shards; read the files in the order of pipeline.py."""
