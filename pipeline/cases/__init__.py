"""Cases: what a case is, its states, the work of people on it, the views of it, and how a night publishes it."""
