"""The bodies of requests and responses, as they are checked and as `/openapi.json` documents them."""
