"""The device's encrypted store: users, gallery, clips, corrections, personal heads, ledger."""
