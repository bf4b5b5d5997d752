"""`python -m distilkit`, which `accelerate launch -m distilkit` runs in every process."""

from distilkit.cli import main

if __name__ == "__main__":
    main()
