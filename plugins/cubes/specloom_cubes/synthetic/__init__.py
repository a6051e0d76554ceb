"""Made-up scenes of lentils on a belt: spectra, geometry, and the camera."""
