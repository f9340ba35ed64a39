"""What a curious server could learn of people from what it got: attacks on recorded transcripts."""
