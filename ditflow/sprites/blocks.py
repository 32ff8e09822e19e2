"""`python -m ditflow.sprites.blocks`: see `ditflow.sprites.recipe.blocks`."""

from ditflow.sprites.recipe.blocks import main

if __name__ == "__main__":
    main()
