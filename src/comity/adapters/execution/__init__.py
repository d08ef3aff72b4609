"""Functions of bundles, run in processes of their own."""
