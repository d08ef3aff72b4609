"""`python -m comity`: the command line."""

from comity.faces.cli.main import main

if __name__ == "__main__":
    main()
