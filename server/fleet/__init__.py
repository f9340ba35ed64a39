"""The fleet's service: SuperLink, its executor and proxy, and rounds that survive."""
