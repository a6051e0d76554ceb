"""Class numbers of pictures: the colour of a pixel counts, however the picture is stored."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from specloom import ConfigError, DataError
from specloom_cubes import Folder, Scene
from specloom_cubes.masks import load_mask, read_mask

no_place = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SHAPE = (24, 20)
CUBE = np.arange(24 * 20 * 8, dtype=np.uint16).reshape(24, 20, 8)
WHERE = np.zeros(SHAPE, bool)
WHERE[10:13, 3:6] = True
OTHER = np.zeros(SHAPE, bool)
OTHER[2:4, 8:12] = True
TWO = WHERE.astype(int) + 2 * OTHER
BLACK = (0, 0, 0)
RED = (255, 0, 0)
BLUE = (0, 0, 255)


def painted(background, *parts):
    """A colour picture of a background with parts of colours."""
    picture = np.empty((*SHAPE, 3), np.uint8)
    picture[:] = background
    for where, colour in parts:
        picture[where] = colour
    return picture


def stored(pixels, kind):
    """The same colours (H, W, 3) as a picture of another kind."""
    picture = Image.fromarray(pixels)
    if kind == "RGB":
        return picture
    if kind == "RGBA":
        return picture.convert("RGBA")
    if kind == "palette":
        return picture.quantize(16, dither=Image.Dither.NONE)
    if kind == "palette in reverse":
        return reversed_palette(pixels)
    assert kind == "L"
    return picture.convert("L")


def reversed_palette(pixels):
    """A palette picture in which black, where there is any, has the last index."""
    colours, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    picture = Image.fromarray((len(colours) - 1 - indices).reshape(SHAPE).astype(np.uint8), "P")
    picture.putpalette(colours[::-1].tobytes())
    return picture


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(path, rows, *, height=24, width=20, depth, colour_type, interlaced=False):
    """A PNG from its rows of bytes, as the format has them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    content = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


KINDS = ("RGB", "RGBA", "palette", "palette in reverse")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [RED, BLUE, (0, 0, 1), (250, 249, 250)])
def test_one_colour_on_black_is_class_1_however_it_is_stored(tmp_path, kind, colour):
    stored(painted(BLACK, (WHERE, colour)), kind).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", SHAPE), WHERE)


@pytest.mark.parametrize("kind", [*KINDS, "L"])
@pytest.mark.parametrize("level", [1, 128, 255])
def test_a_grey_level_is_the_class_however_it_is_stored(tmp_path, kind, level):
    stored(painted(BLACK, (WHERE, (level,) * 3)), kind).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", SHAPE), level * WHERE)


@pytest.mark.parametrize("kind", KINDS)
def test_several_colours_on_black_are_class_1_with_a_note(tmp_path, kind):
    stored(painted(BLACK, (WHERE, RED), (OTHER, BLUE)), kind).save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    np.testing.assert_array_equal(found.numbers, WHERE | OTHER)
    (note,) = found.notes
    assert "has 2 colours besides black (#ff0000 9 px, #0000ff 8 px): all are class 1" in note
    assert "fix: write masks: {colors: {'#000000': " in note


@pytest.mark.parametrize("kind", KINDS)
def test_colours_without_black_are_refused(tmp_path, kind):
    stored(painted(BLUE, (WHERE, RED)), kind).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="none is black: which one is the background") as error:
        read_mask(tmp_path / "m.png", SHAPE)
    assert "#0000ff 471 px, #ff0000 9 px" in error.value.what
    assert error.value.fix.startswith("write masks: {colors: {'#0000ff': ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_colours(tmp_path, kind):
    stored(painted(BLUE, (WHERE, RED), (OTHER, (0, 255, 0))), kind).save(tmp_path / "m.png")
    colors = {"#ff0000": 1, "#0000ff": 0, "#00FF00": 7}
    found = read_mask(tmp_path / "m.png", SHAPE, colors=colors)
    np.testing.assert_array_equal(found, WHERE + 7 * OTHER)
    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "m.png", SHAPE, colors={"#0000ff": 0, "red": 1})
    assert str(error.value) == (
        f"the colour #00ff00 of {tmp_path}/m.png is not in colors: 8 px, first at row 2, column 8\n"
        "  fix: add '#00ff00' with its class number to colors"
    )


def test_the_classes_of_a_coloured_map_are_those_of_the_table(tmp_path):
    classes = np.arange(24 * 20).reshape(SHAPE) % 17
    rng = np.random.default_rng(0)
    colours = rng.integers(1, 256, (17, 3)).astype(np.uint8)
    colours[0] = 0
    Image.fromarray(colours[classes]).save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    np.testing.assert_array_equal(found.numbers, classes > 0)
    assert "has 16 colours besides black" in found.notes[0]
    table = {f"#{r:02x}{g:02x}{b:02x}": number for number, (r, g, b) in enumerate(colours)}
    found = load_mask(tmp_path / "m.png", SHAPE, colors=table)
    np.testing.assert_array_equal(found.numbers, classes)
    assert not found.notes


def test_a_table_of_colours_for_grey_one_bit_and_transparent_pixels(tmp_path):
    for name, image in {
        "one": Image.fromarray(WHERE),
        "grey": Image.fromarray(WHERE.astype(np.uint8) * 255),
    }.items():
        image.save(tmp_path / f"{name}.png")
        found = read_mask(tmp_path / f"{name}.png", SHAPE, colors={"white": 3, "black": 2})
        np.testing.assert_array_equal(found, 2 + WHERE)
    pixels = np.dstack([painted(BLACK, (WHERE, RED)), np.where(OTHER, 0, 255).astype(np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "m.png")
    colors = {"#f00": 1, "#000": 0}
    found = read_mask(tmp_path / "m.png", SHAPE, colors=colors)
    np.testing.assert_array_equal(found, WHERE)
    found = read_mask(tmp_path / "m.png", SHAPE, colors={**colors, "transparent": -1})
    np.testing.assert_array_equal(found, WHERE.astype(int) - OTHER)


@pytest.mark.parametrize(
    ("colors", "what"),
    [
        ({"reddish": 1}, "'reddish' in colors is not a colour"),
        ({"#ff00": 1, "red": 1, "#f00": 2}, "colors has '#f00' twice"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, colors, what):
    np.save(tmp_path / "x.npy", CUBE)
    masks = {"colors": colors}
    for source in (Scene(str(tmp_path / "x.npy"), masks=masks), Folder(str(tmp_path), masks=masks)):
        with pytest.raises(ConfigError, match=what):
            source.sizes()


def test_a_table_where_there_are_no_colours(tmp_path):
    np.save(tmp_path / "m.npy", WHERE)
    with pytest.raises(DataError, match="holds class numbers, and no colours"):
        read_mask(tmp_path / "m.npy", SHAPE, colors={"#fff": 1})
    Image.fromarray(WHERE.astype(np.uint16)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="has 16 bits of grey"):
        read_mask(tmp_path / "m.png", SHAPE, colors={"#fff": 1})


def voc_colours():
    """The table of PASCAL VOC, as its development kit in MATLAB makes it."""
    table = np.zeros((256, 3), np.uint8)
    for number in range(256):
        rest = number
        for bit in range(7, -1, -1):
            for channel in range(3):
                table[number, channel] |= ((rest >> channel) & 1) << bit
            rest >>= 3
    return table


@pytest.mark.parametrize("kind", ["palette", "RGB", "RGBA"])
def test_the_colours_of_voc_have_its_numbers(tmp_path, kind):
    table = voc_colours()
    assert table[15].tolist() == [192, 128, 128]  # "person"
    classes = TWO.copy()
    classes[20:] = 15
    classes[0] = 255
    picture = Image.fromarray(classes.astype(np.uint8), "P")
    picture.putpalette(table.tobytes())
    if kind != "palette":
        picture = picture.convert(kind)
    picture.save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    np.testing.assert_array_equal(found.numbers, classes)
    assert not found.notes


def test_transparent_pixels_are_class_0(tmp_path):
    white = np.full((*SHAPE, 3), 255, np.uint8)
    alpha = np.where(WHERE, 255, 0).astype(np.uint8)
    red = painted(RED)
    cases = {
        "red on nothing": (np.dstack([red, alpha]), WHERE),
        "white that is hidden": (np.dstack([np.where(WHERE[..., None], red, white), alpha]), WHERE),
        "half opaque": (np.dstack([red, alpha // 2]), WHERE),
        "grey": (np.dstack([np.full((*SHAPE, 3), 4, np.uint8), alpha]), 4 * WHERE),
        "opaque": (np.dstack([painted(BLACK, (WHERE, RED)), alpha * 0 + 255]), WHERE),
        "opacity unused": (np.dstack([painted(BLACK, (WHERE, RED)), alpha * 0]), WHERE),
    }
    for name, (pixels, expected) in cases.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        found = load_mask(path, SHAPE)
        np.testing.assert_array_equal(found.numbers, expected, err_msg=name)
        assert not found.notes, name
    Image.fromarray(np.dstack([WHERE * np.uint8(3), alpha]), "LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "la.png", SHAPE), 3 * WHERE)


def test_opacity_is_the_mask_where_all_that_is_visible_is_black(tmp_path):
    pixels = np.zeros((*SHAPE, 4), np.uint8)
    pixels[WHERE, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    np.testing.assert_array_equal(found.numbers, WHERE)
    assert found.notes == (
        f"{tmp_path}/m.png is black and transparent: the 9 black px are class 1",
    )


def test_partly_transparent_edges_are_noted(tmp_path):
    pixels = np.dstack([painted(RED), np.where(WHERE, 255, 0)]).astype(np.uint8)
    pixels[10, 3:6, 3] = 90
    Image.fromarray(pixels).save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    np.testing.assert_array_equal(found.numbers, WHERE)
    assert "3 px of" in found.notes[0]
    assert "are partly transparent: they count as their colour" in found.notes[0]


def test_transparency_of_palettes_and_of_one_colour(tmp_path):
    picture = Image.fromarray(WHERE.astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 255, 0, 0])
    picture.save(tmp_path / "p.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png", SHAPE), WHERE)
    Image.fromarray(painted(BLUE, (WHERE, RED))).save(tmp_path / "rgb.png", transparency=BLUE)
    np.testing.assert_array_equal(read_mask(tmp_path / "rgb.png", SHAPE), WHERE)
    grey = np.where(WHERE, 2, 9).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "l.png", transparency=9)
    np.testing.assert_array_equal(read_mask(tmp_path / "l.png", SHAPE), 2 * WHERE)
    Image.fromarray(grey.astype(np.uint16) * 300).save(tmp_path / "i.png", transparency=2700)
    np.testing.assert_array_equal(read_mask(tmp_path / "i.png", SHAPE), 600 * WHERE)
    Image.fromarray(WHERE).save(tmp_path / "one.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "one.png", SHAPE), WHERE)


@no_place
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_of_every_depth_holds_the_numbers_as_they_are_stored(tmp_path, depth):
    most = min(2**depth - 1, 5)
    classes = np.arange(24 * 20).reshape(SHAPE) % (most + 1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in classes]
    elif depth == 8:
        rows = [row.astype(np.uint8).tobytes() for row in classes]
    else:
        bits = (classes[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = [np.packbits(row.ravel()).tobytes() for row in bits.astype(np.uint8)]
    png(tmp_path / "m.png", rows, depth=depth, colour_type=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", SHAPE), classes)
    with rasterio.open(tmp_path / "m.png") as reference:
        np.testing.assert_array_equal(reference.read(1), classes)


def test_an_interlaced_picture(tmp_path):
    """Adam7 of 8 x 8 pixels: seven pictures of every eighth, fourth, second pixel."""
    classes = np.arange(64, dtype=np.uint8).reshape(8, 8) % 5
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = []
    for first_row, first_column, row_step, column_step in passes:
        rows += [row.tobytes() for row in classes[first_row::row_step, first_column::column_step]]
    path = tmp_path / "m.png"
    png(path, rows, height=8, width=8, depth=8, colour_type=0, interlaced=True)
    np.testing.assert_array_equal(read_mask(path, (8, 8)), classes)


def test_channels_of_16_bits_are_refused(tmp_path):
    rows = [np.zeros((20, 3), ">u2").tobytes()] * 24
    png(tmp_path / "m.png", rows, depth=16, colour_type=2)
    with pytest.raises(DataError, match="has 16 bits for each of its channels"):
        read_mask(tmp_path / "m.png", SHAPE)


@pytest.mark.parametrize("levels", ["grey", "colours"])
def test_a_picture_of_many_colours_is_no_mask(tmp_path, levels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    if levels == "grey":
        np.save(tmp_path / "x.npy", CUBE)
        Image.fromarray(pixels[..., 0]).save(tmp_path / "x.png")
        assert list(Folder(str(tmp_path)).missing_outputs("train")) == ["mask"]
        return
    Image.fromarray(pixels).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"has 480 colours: it is a picture, not a mask"):
        read_mask(tmp_path / "m.png", SHAPE)


@pytest.mark.parametrize("name", ["m.jpg", "m.jpeg", "m.webp", "jpeg.png"])
def test_pictures_with_loss_are_refused(tmp_path, name):
    kind = "WEBP" if name.endswith("webp") else "JPEG"
    Image.fromarray(WHERE.astype(np.uint8) * 255).save(tmp_path / name, kind)
    with pytest.raises(DataError, match="its compression changes the class numbers") as error:
        read_mask(tmp_path / name, SHAPE)
    assert "save the mask as PNG" in error.value.fix


def test_masks_that_were_resized_or_saved_with_loss_are_noted(tmp_path):
    mask = Image.fromarray(WHERE.astype(np.uint8) * 255)
    soft = mask.resize((80, 96), Image.Resampling.BICUBIC).resize((20, 24), Image.Resampling.BOX)
    soft.save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    levels = np.asarray(soft)
    between = (levels > 0) & (levels < 255)
    np.testing.assert_array_equal(found.numbers, levels)
    count = len(np.unique(levels[between]))
    assert (
        f"{(levels == 255).sum()} px of 255 and {between.sum()} px of {count} grey levels"
        in (found.notes[0])
    )
    with pytest.warns(UserWarning, match="resized or saved with loss"):
        read_mask(tmp_path / "m.png", SHAPE)
    classes = TWO.copy()
    classes[0] = 255  # "void", and 0, 1 and 2 are classes
    np.save(tmp_path / "v.npy", classes)
    assert not load_mask(tmp_path / "v.npy", SHAPE).notes


def test_indices_of_one_colour_are_noted(tmp_path):
    picture = Image.fromarray(TWO.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0] * 3)
    picture.save(tmp_path / "m.png")
    found = load_mask(tmp_path / "m.png", SHAPE)
    assert not found.numbers.any()
    assert "uses 3 entries of its palette, which have 1 colours" in found.notes[0]


@no_place
def test_a_tiff_with_a_colour_table_holds_the_numbers_and_one_of_colours_the_colours(tmp_path):
    with rasterio.open(
        tmp_path / "p.tif", "w", driver="GTiff", width=20, height=24, count=1, dtype="uint8"
    ) as file:
        file.write(TWO.astype(np.uint8), 1)
        file.write_colormap(1, {0: (255, 255, 255), 1: RED, 2: BLUE})
    np.testing.assert_array_equal(read_mask(tmp_path / "p.tif", SHAPE), TWO)
    pixels = painted(BLACK, (WHERE, RED))
    with rasterio.open(
        tmp_path / "c.tif", "w", driver="GTiff", width=20, height=24, count=3, dtype="uint8"
    ) as file:
        file.write(pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_mask(tmp_path / "c.tif", SHAPE), WHERE)
    np.save(tmp_path / "c.npy", pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "c.npy", SHAPE), WHERE)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_inverted_and_constant_masks_are_read_as_they_are(tmp_path, suffix):
    path = Path(tmp_path, f"m{suffix}")
    Image.fromarray(np.where(WHERE, 0, 255).astype(np.uint8)).save(path)
    np.testing.assert_array_equal(read_mask(path, SHAPE), np.where(WHERE, 0, 255))
    for level in (0, 1, 255):
        Image.fromarray(np.full(SHAPE, level, np.uint8)).save(path)
        np.testing.assert_array_equal(read_mask(path, SHAPE), np.full(SHAPE, level))


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_header_that_promises_very_many_pixels(tmp_path, suffix):
    """The size is compared before a pixel is read."""
    path = Path(tmp_path, f"m{suffix}")
    Image.fromarray(WHERE).save(path)
    content = bytearray(path.read_bytes())
    if suffix == ".png":
        content[16:24] = struct.pack(">II", 9000, 9000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        content[18:26] = struct.pack("<ii", 9000, 9000)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is 9000 x 9000, the cube is 24 x 20"):
        read_mask(path, SHAPE)


def test_a_map_of_probabilities_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.linspace(0, 1, 480, dtype=np.float32).reshape(SHAPE))
    with pytest.raises(DataError, match="which is not a class number") as error:
        read_mask(tmp_path / "m.npy", SHAPE)
    assert "apply a threshold to a map of probabilities" in error.value.fix


def test_colours_of_masks_in_sources(tmp_path):
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", CUBE)
        picture = painted(BLUE, (WHERE, RED)) if number < 3 else painted(BLUE)
        Image.fromarray(picture).save(tmp_path / f"{number}_mask.png")
    masks = {"colors": {"#ff0000": 1, "#0000ff": 0}}
    folder = Folder(str(tmp_path), masks=masks, split=(1.0, 0.0, 0.0))
    found = np.concatenate([batch["mask"] for batch in folder.batches("train")])
    np.testing.assert_array_equal(found, [WHERE, WHERE, WHERE, WHERE * 0])
    (tmp_path / "labels").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "labels" / path.name)
    both = {"folder": "labels", **masks}
    folder = Folder(str(tmp_path), masks=both, split=(1.0, 0.0, 0.0))
    assert folder.read("train", [0])["mask"].sum() == 9
    cube = str(tmp_path / "0.npy")
    mask = str(tmp_path / "labels/0_mask.png")
    (batch,) = Scene(cube, mask, masks=masks).batches("test")
    np.testing.assert_array_equal(batch["mask"], WHERE[None])
    with pytest.raises(ConfigError, match="Scene: masks names the folder labels"):
        Scene(cube, mask, masks=both).sizes()
