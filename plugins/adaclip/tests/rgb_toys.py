"""A plugin of one node that takes pictures from the batch, for tests of whole graphs."""

from specloom import Port, impl
from specloom.torch import TorchNode

PORT = Port("B H W 3", doc="Pictures.")


class Pictures(TorchNode):
    """Gives the pictures of the batch on."""

    entry = True
    locality = "pixel"
    inputs = {"rgb": PORT}
    outputs = {"picture": PORT}

    def forward(self, rgb):
        return {"picture": rgb}


@impl
def register_nodes():
    return {"Pictures": "rgb_toys:Pictures"}
