"""`python -m search.cli`: the command where it is not on the path."""

from search.cli import main

if __name__ == "__main__":
    main()
