"""The fleet's side: validates, aggregates and publishes the universal head."""
