"""Where avatars' pictures come from, behind one interface."""
