"""What every transport must do, as tests: see ``bus_amqp.testing.conformance.suite``."""
