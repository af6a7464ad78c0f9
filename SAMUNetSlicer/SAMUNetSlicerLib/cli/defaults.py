"""What the command line uses unless told otherwise."""

# The trained sam_unet_tiny takes this place once its weights ship; until then boxes are what the default knows.
DEFAULT_MODEL = "lite_medsam"
