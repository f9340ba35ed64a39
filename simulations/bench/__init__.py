"""Measurements that can be repeated: each module measures one claim and returns its figures."""
