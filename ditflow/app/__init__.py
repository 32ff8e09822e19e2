"""`ditflow app`: a page in the browser on which motions are fitted and reused."""
