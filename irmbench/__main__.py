"""Run the command line: ``python -m irmbench``."""

from irmbench.cli import main

if __name__ == "__main__":
    main()
