"""What lies in files that nothing here opens: told, and not looked at."""
