"""The page's section of single images: crops, residuals and scatters of a study, and none without them."""

import re
from urllib.parse import unquote

from denoising_records import ByHand, kept, run, study, values

from harness.report.html import render_page
from harness.store.connection import open_memory

A, B = run("a", results={25.0: 30.0}), run("b", results={25.0: 31.0})
SAMPLES = {"a-0": [values([29, 31])], "b-0": [values([30, 32])]}


def page(pictures, samples):
    store = open_memory()
    try:
        return render_page(ByHand(study([A, B], ("a", "b")), pictures, samples, store))
    finally:
        store.close()


def test_each_figure_of_single_images_is_in_the_page():
    text = page({"a-0": kept(3), "b-0": kept(6)}, SAMPLES)
    section = re.search(r'<section id="pictures".*?</section>', text, re.DOTALL)[0]
    assert re.findall(r"<h4>(.*?)</h4>", section) == [
        "The same crops through all denoisers, study denoise",
        "Residuals of the same crops, study denoise",
        "psnr_db [dB] image by image, study denoise, photos test, gaussian, sigma 25",
    ]
    sources = re.findall(r'src="data:image/svg\+xml,([^"]+)"', section)
    assert [unquote(source).rstrip().endswith("</svg>") for source in sources] == [True] * 3
    assert "×4 around mid-grey" in section
    assert '<a href="#pictures">' in text
    assert text == page({"a-0": kept(3), "b-0": kept(6)}, SAMPLES)


def test_without_them_there_is_no_such_section():
    text = page({}, {})
    assert "#pictures" not in text
    assert 'id="pictures"' not in text
