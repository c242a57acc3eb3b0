"""The service over HTTP, and the page it shows: a request's way reads receiving -> batching -> answering."""
