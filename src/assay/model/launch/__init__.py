"""One training on several processes: their settings, launchers (accelerate, Ray) and engines."""
