"""The headline experiments, each ready to run on data inside the package."""
