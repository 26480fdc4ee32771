"""Where threads are born: one loop per connection."""
