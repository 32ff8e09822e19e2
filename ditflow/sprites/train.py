"""`python -m ditflow.sprites.train`: see `ditflow.sprites.recipe.train`."""

from ditflow.sprites.recipe.train import main

if __name__ == "__main__":
    main()
