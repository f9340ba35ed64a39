"""From a clip to an answer: whose face it is, which head reads it, and what it shows."""
