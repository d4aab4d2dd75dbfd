"""Style sheets of the view."""
