"""The figures of the dashboard, each one SQL file, and their charts."""
