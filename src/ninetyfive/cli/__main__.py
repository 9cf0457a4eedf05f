"""`python -m ninetyfive.cli` is the command `ninetyfive`."""

from ninetyfive.cli import main

if __name__ == "__main__":
    main()
