"""What experiments found, as tables and pictures on one page."""
