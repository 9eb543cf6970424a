"""Picture files of every kind are read, turned and converted as said, or refused in one line; PNG is written."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from harness.base.errors import HarnessError
from harness.denoiser.pictures import Picture, check_target, read_picture, write_picture, write_side_by_side


@pytest.fixture
def keep(tmp_path):
    def write(image, name="p.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def _random(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (1, 1, 3), (7, 5, 3)])
def test_grey_and_colour_of_any_size_come_as_they_are(keep, shape):
    values = _random(*shape)
    picture = read_picture(keep(Image.fromarray(values)))
    np.testing.assert_array_equal(picture.pixels, values.reshape(*shape[:2], -1))
    assert (picture.alpha, picture.notes) == (None, ())


@pytest.mark.parametrize(("shape", "mode"), [((6, 4, 4), "RGBA"), ((6, 4, 2), "LA")])
def test_transparency_goes_through_unchanged(keep, tmp_path, shape, mode):
    values = _random(*shape)
    picture = read_picture(keep(Image.fromarray(values, mode)))
    np.testing.assert_array_equal(picture.alpha, values[..., -1])
    write_picture(tmp_path / "out.png", picture)
    with Image.open(tmp_path / "out.png") as again:
        assert again.mode == mode
        np.testing.assert_array_equal(np.asarray(again), values)


def test_a_palette_becomes_rgb_and_its_transparent_colour_transparency(keep):
    image = Image.fromarray(_random(8, 8) % 4, "P")
    image.putpalette([10, 20, 30, 200, 100, 0, 7, 8, 9, 255, 255, 255])
    picture = read_picture(keep(image, transparency=1))
    assert picture.pixels.shape == (8, 8, 3)
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(image) == 1)
    assert picture.notes == ("its colours were converted to RGB (it has a palette)",)


def test_cmyk_becomes_rgb_and_says_so(keep):
    picture = read_picture(keep(Image.new("CMYK", (5, 4), (0, 255, 255, 0)), "p.tif"))
    assert picture.notes == ("its colours were converted to RGB (it has CMYK)",)
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_one_bit_is_black_and_white(keep):
    picture = read_picture(keep(Image.fromarray(_random(9, 9) > 127)))
    assert set(np.unique(picture.pixels)) == {0, 255}


def test_what_exif_turns_is_turned_and_written_so(keep, tmp_path):
    values = _random(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    picture = read_picture(keep(Image.fromarray(values), exif=exif))
    np.testing.assert_array_equal(picture.pixels, np.rot90(values, -1))
    write_picture(tmp_path / "out.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png").pixels, picture.pixels)


def test_a_colour_profile_is_kept(keep, tmp_path):
    write_picture(tmp_path / "out.png", read_picture(keep(Image.fromarray(_random(3, 3, 3)), icc_profile=b"profile")))
    with Image.open(tmp_path / "out.png") as again:
        assert again.info["icc_profile"] == b"profile"


def test_16_bits_are_reduced_to_8_and_it_is_said(keep):
    values = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    picture = read_picture(keep(Image.fromarray(values)))
    assert picture.pixels[..., 0].tolist() == [[0, 0, 1, 255]]
    assert picture.notes == ("its 16 bits per channel were reduced to 8",)


def _deep_colour():
    """Return a PNG of one pixel with 16 bits in each of three channels, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + struct.pack(">HHH", 256, 512, 65535))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def test_16_bits_of_colour_too(tmp_path):
    (tmp_path / "p.png").write_bytes(_deep_colour())
    picture = read_picture(tmp_path / "p.png")
    assert picture.pixels.tolist() == [[[1, 2, 255]]]
    assert picture.notes == ("its 16 bits per channel were reduced to 8",)


def test_of_several_frames_the_first_is_used(keep):
    frames = [Image.fromarray(_random(4, 4) // 2 + n) for n in (0, 100)]
    picture = read_picture(keep(frames[0], "p.tif", save_all=True, append_images=frames[1:]))
    assert picture.notes == ("it has several frames: only the first is used",)
    np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(frames[0]))


def _truncated():
    file = io.BytesIO()
    Image.fromarray(_random(64, 64, 3)).save(file, "PNG")
    return file.getvalue()[:5000]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a picture in a format that can be read (PNG, JPEG"),
        (b"no image at all", "not a picture in a format that can be read (PNG, JPEG"),
        (_truncated(), "the picture cannot be read: image file is truncated"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_what_is_no_picture_is_one_line_that_names_the_file(tmp_path, content, words):
    (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        read_picture(tmp_path / "p.png")
    assert str(caught.value).startswith(f"{tmp_path / 'p.png'}: {words}")
    assert "\n" not in str(caught.value)


def test_more_than_16_bits_are_refused(keep):
    path = keep(Image.fromarray(np.ones((3, 3), dtype=np.float32)), "p.tif")
    with pytest.raises(HarnessError, match="more than 16 bits"):
        read_picture(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"none\.png: No such file"):
        read_picture(tmp_path / "none.png")


def test_only_what_this_command_wrote_is_written_over(keep, tmp_path):
    source, other = keep(Image.fromarray(_random(3, 3))), keep(Image.fromarray(_random(3, 3)), "mine.png")
    target = tmp_path / "out.png"
    check_target(target, [source], overwrite=False)  # nothing is there
    write_picture(target, Picture(_random(3, 3, 1)))
    check_target(target, [source], overwrite=False)
    with pytest.raises(HarnessError, match=r"mine\.png exists and was not written by this command; add --overwrite"):
        check_target(other, [source], overwrite=False)
    check_target(other, [source], overwrite=True)


@pytest.mark.parametrize("name", ["p.png", "link.png", "hard.png"])
def test_the_input_is_never_written_over(keep, tmp_path, name):
    source = keep(Image.fromarray(_random(3, 3)))
    (tmp_path / "link.png").symlink_to(source)
    (tmp_path / "hard.png").hardlink_to(source)
    with pytest.raises(HarnessError, match="is an input, which is never overwritten"):
        check_target(tmp_path / name, [source], overwrite=True)


def test_a_target_is_a_png(tmp_path):
    with pytest.raises(HarnessError, match=r"only PNG is written; give a name that ends with \.png"):
        check_target(tmp_path / "out.jpg", [], overwrite=True)
    with pytest.raises(HarnessError, match="is a folder; name a file"):
        check_target(tmp_path, [], overwrite=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_clean", [False, True])
def test_side_by_side_are_before_after_and_the_amplified_difference(tmp_path, channels, with_clean):
    before = np.full((40, 60, channels), 100, dtype=np.uint8)
    after = before.copy()
    after[10:20], after[30:] = 90, 103
    factor = write_side_by_side(tmp_path / "s.png", before, after, before if with_clean else None)
    assert factor == 8  # 10·8 fits in 127, 10·16 does not
    sheet = np.asarray(Image.open(tmp_path / "s.png")).reshape(56, -1, channels)
    assert sheet.shape[1] == (4 if with_clean else 3) * 64 - 4
    panels = [sheet[16:, left : left + 60] for left in range(0, sheet.shape[1], 64)][with_clean:]
    np.testing.assert_array_equal(panels[0], before)
    np.testing.assert_array_equal(panels[1], after)
    assert [panels[2][row, 0, 0] for row in (0, 15, 35)] == [128, 128 + 80, 128 - 24]


def test_equal_pictures_differ_by_nothing(tmp_path):
    one = _random(1, 1, 3)
    write_side_by_side(tmp_path / "s.png", one, one)
    assert np.asarray(Image.open(tmp_path / "s.png"))[16, -1].tolist() == [128, 128, 128]
