"""When the work runs, what is checked, what is published and how the result is shown."""
