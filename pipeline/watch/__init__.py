"""Looking after the product itself: measures, alarms, and the ways by which a person is told."""
