"""`python -m ditflow.sprites.evaluate`: see `ditflow.sprites.recipe.evaluate`."""

from ditflow.sprites.recipe.evaluate import main

if __name__ == "__main__":
    main()
