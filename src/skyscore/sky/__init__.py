"""The sky behind an image: world coordinates, frames with their background, the law of their noise."""
