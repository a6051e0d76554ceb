"""What writes maps over an image to files, with the image's geometry; a module for each format."""
