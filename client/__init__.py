"""The device: recognises, personalises, trains locally, and guards what leaves."""
