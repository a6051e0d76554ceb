"""Raw counts to reflectance, on another grid of bands, before a source gives them."""
