"""A page of a PDF as it looks: drawn small, to see what makes a difference. Runs in the child process."""

import ctypes
import math
from typing import Any

from lctx.formats.pdf_functions import Box

_SCALE = 1.5
"""Pixels a point."""
_MAX_PIXELS = 4_000_000
_CHANNELS = 4
_ROUGHLY = 0x2000  # FPDF_RENDER_NO_SMOOTHIMAGE: most of the time would go into shrinking scans smoothly


class Picture:
    """One page, drawn on white without its annotations.

    Attributes:
        scale: Pixels a point.
    """

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
        points = max(width * height, 1.0)
        self.scale = min(_SCALE, math.sqrt(_MAX_PIXELS / points))
        self._page = page
        self._size = max(int(width * self.scale), 1), max(int(height * self.scale), 1)
        # A page that is a thin strip, miles long, has few pixels in all and too many in a row.
        self._pixels, self._row_bytes = self._draw() if max(self._size) <= _MAX_PIXELS // 100 else (b"", 0)

    def _draw(self) -> tuple[bytes, int]:
        import pypdfium2.raw as pdfium

        width, height = self._size
        bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_BGRx, None, 0)
        if not bitmap:
            return b"", 0
        try:
            pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
            pdfium.FPDF_RenderPageBitmap(bitmap, self._page, 0, 0, width, height, 0, _ROUGHLY)
            row_bytes = pdfium.FPDFBitmap_GetStride(bitmap)
            return ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), row_bytes * height), row_bytes
        finally:
            pdfium.FPDFBitmap_Destroy(bitmap)

    def __bool__(self) -> bool:
        """Whether there is a picture to look at."""
        return bool(self._pixels)

    def difference(self, other: "Picture", box: Box, enough: int) -> int:
        """The largest difference of one channel (0 to 255) that two pictures of a page have in `box`.

        Args:
            other: Of the same page.
            box: In the page's coordinates.
            enough: No difference above this one is looked for.
        """
        most = 0
        for start, end in self._rows(box):
            one, two = self._pixels[start:end], other._pixels[start:end]  # noqa: SLF001
            if one != two:
                most = max(most, *(abs(a - b) for a, b in zip(one, two, strict=True)))
                if most >= enough:
                    break
        return most

    def has_contrast(self, box: Box, least: int) -> bool:
        """Whether one channel (0 to 255) differs by `least` or more between two places in `box`."""
        rows = self._rows(box)
        middle = len(rows) // 2
        low, high = [255] * 3, [0] * 3
        for start, end in rows[middle:] + rows[:middle]:  # words are where the middle is
            for channel in range(3):
                row = self._pixels[start + channel : end : _CHANNELS]
                low[channel] = min(low[channel], *row)
                high[channel] = max(high[channel], *row)
                if high[channel] - low[channel] >= least:
                    return True
        return False

    def _rows(self, box: Box) -> list[tuple[int, int]]:
        """Where in the pixels each row of `box` begins and ends; a pixel more on each side."""
        import pypdfium2.raw as pdfium

        width, height = self._size
        x, y = ctypes.c_int(), ctypes.c_int()
        across, down = [], []
        for corner in ((box[0], box[1]), (box[2], box[3])):
            pdfium.FPDF_PageToDevice(self._page, 0, 0, width, height, 0, *corner, x, y)
            across.append(x.value)
            down.append(y.value)
        left, right = max(min(across) - 1, 0), min(max(across) + 2, width)
        top, bottom = max(min(down) - 1, 0), min(max(down) + 2, height)
        if left >= right:
            return []
        return [
            (row * self._row_bytes + left * _CHANNELS, row * self._row_bytes + right * _CHANNELS)
            for row in range(top, bottom)
        ]
