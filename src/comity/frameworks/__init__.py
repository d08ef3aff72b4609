"""Floor 4: models of numpy, torch and scikit-learn."""
