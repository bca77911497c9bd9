from PIL import Image

from scripts.scanner_figure import main


def test_figure_of_all_protocols_and_faults_is_drawn(tmp_path):
    main(str(tmp_path / "new" / "sheet.png"), size_px=40)
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.width > 1000 and image.height > 1000
        assert image.convert("L").getextrema() == (0, 255)
