from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.errors import MediaError, UsageError
from evalkit.media import clip_of, clip_sha256, decode_video, encode_mp4, pixel_sha256, video
from tests.unit.video_samples import H, T, W, encoded, moving, quarters, sound_only, write

if TYPE_CHECKING:
    from pathlib import Path

LOSSY: dict[str, str] = {"crf": "10"}
VP9: dict[str, Any] = {"container": "webm", "codec": "libvpx-vp9", "pix_fmt": "yuv420p", "options": LOSSY}


def stacked(path: Path) -> np.ndarray[Any, Any]:
    return np.stack(decode_video(path).frames)


def test_a_clip_that_was_written_is_what_was_made(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 33, 47, 3), dtype=np.uint8)
    path = write(tmp_path, "a.mp4", encode_mp4(frames, 12.5))
    clip = decode_video(path)
    assert np.array_equal(np.stack(clip.frames), frames)
    assert clip.frame_sha256 == tuple(pixel_sha256(frame) for frame in frames)
    assert clip.sha256 == clip_of(frames).sha256
    assert (clip.fps, clip.notes) == (12.5, ())
    assert not clip.frames[0].flags.writeable
    assert encode_mp4(frames, 12.5) == path.read_bytes()


def test_the_hash_of_a_clip_is_of_its_frames_their_order_number_and_size() -> None:
    frames = moving()
    hashes = {
        clip_of(f).sha256
        for f in (frames, frames[::-1], frames[:-1], np.repeat(frames, 2, 0), frames.transpose(0, 2, 1, 3))
    }
    assert len(hashes) == 5
    assert clip_sha256(clip_of(frames).frame_sha256, (H, W)) == clip_of(frames, 3.0).sha256


@pytest.mark.parametrize("kind", ["mp4", "webm", "mov", "mkv", "gif"])
def test_the_containers_that_people_hand_in(tmp_path: Path, kind: str) -> None:
    how: dict[str, Any] = {
        "mp4": {"codec": "libx264", "pix_fmt": "yuv420p", "options": LOSSY}, "webm": VP9,
        "mov": {"container": "mov", "codec": "prores_ks", "pix_fmt": "yuv422p10le", "options": {"profile": "3"}},
        "mkv": {"container": "matroska"}, "gif": {"container": "gif", "codec": "gif", "pix_fmt": "rgb8"},
    }[kind]  # fmt: skip
    clip = decode_video(write(tmp_path, f"a.{kind}", encoded(moving(), **how)))
    assert len(clip.frames) == T
    assert clip.fps == 10
    # A palette of 256 colours is off by up to half a step of 3 bits everywhere.
    assert np.abs(np.stack(clip.frames).astype(int) - moving()).mean() < (25 if kind == "gif" else 3)


def test_every_frame_is_there_whatever_the_rate(tmp_path: Path) -> None:
    path = write(tmp_path, "vfr.mp4", encoded(moving(), stamps=[0, 100, 150, 400, 450, 900]))
    clip = decode_video(path)
    assert np.array_equal(np.stack(clip.frames), moving())
    assert clip.notes == ("variable_rate",)
    steady = write(tmp_path, "cfr.mp4", encoded(moving(), stamps=[0, 33, 67, 100, 133, 167]))
    assert decode_video(steady).notes == ()


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_display_matrix_is_applied(tmp_path: Path, turn: int) -> None:
    """FFmpeg's angle is counter-clockwise, as numpy's."""
    path = write(tmp_path, "turned.mp4", encoded([quarters()] * 2, rotation=turn))
    clip = decode_video(path)
    assert np.array_equal(clip.frames[0], np.rot90(quarters(), turn // 90))
    assert clip.notes == ("rotated",)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mov", {"container": "mov", "codec": "qtrle", "pix_fmt": "argb"}),
        ("a.webm", {"container": "webm", "codec": "libvpx-vp9", "pix_fmt": "yuva420p", "options": {"lossless": "1"}}),
    ],
)
def test_transparency_is_composited_on_white(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    frames = np.concatenate([moving(), np.full((T, H, W, 1), 255, np.uint8)], axis=-1)
    frames[:, :, : W // 2, 3] = 0
    clip = decode_video(write(tmp_path, name, encoded(frames, source="rgba", **how)))
    assert clip.frames[0][5, 5].tolist() == [255, 255, 255]
    assert np.abs(clip.frames[0][5, -5].astype(int) - (20, 30, 60)).max() <= 3
    assert clip.notes == ("alpha_on_white",)


def test_ten_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none:lossless=1"}
    clip = decode_video(
        write(tmp_path, "a.mp4", encoded(moving(), codec="libx265", pix_fmt="yuv444p10le", options=options))
    )
    assert np.abs(np.stack(clip.frames).astype(int) - moving()).max() <= 2
    assert clip.notes == ("more_than_8_bits_scaled",)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    assert len(decode_video(write(tmp_path, "a.mp4", encoded(moving(1)))).frames) == 1


def test_the_content_decides_and_the_name_is_noted(tmp_path: Path) -> None:
    clip = decode_video(write(tmp_path, "a.webm", encoded(moving())))
    assert clip.notes == ("wrong_extension:webm is mov",)


def cut(share: float, **how: Any) -> bytes:
    data = encoded(moving(), **how)
    return data[: int(len(data) * share)]


def hurt() -> bytes:
    """The last slices zeroed: the index is whole, the pictures are not."""
    data = bytearray(encoded(moving()))
    start = data.index(b"mdat") + 700
    data[start : start + 150] = bytes(150)
    return bytes(data)


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "empty.mp4": (b"", "empty_file", "it is empty (0 bytes)"),
    "cut.mp4": (cut(0.5), "truncated", "that should have"),
    "cut_to_the_first_box.mp4": (encoded(moving())[:32], "truncated", "without its index (moov)"),
    "cut_with_index_first.mp4": (cut(0.9, options={"qp": "0", "movflags": "faststart"}), "truncated", "should have"),
    "cut.webm": (cut(0.9, **VP9), "truncated", "it is an MKV or WebM file of"),
    "cut_in_header.webm": (cut(0.02, **VP9), "truncated", "that ends in its header"),
    "cut.gif": (cut(0.5, container="gif", codec="gif", pix_fmt="rgb8"), "truncated", "without an end"),
    "damaged.mp4": (hurt(), "unreadable", "damaged"),
    "sound.mp4": (sound_only(), "not_a_video", "it has no video stream (it holds audio)"),
    "playlist.mp4": (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", "not_a_video", "no video that evalkit knows (it begins with"),
    "picture.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(40), "not_a_video", "it is a PNG picture, where a video was wanted"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_video_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    data, reason, told = REFUSED[name]
    path = write(tmp_path, name, data)
    with pytest.raises(MediaError) as raised:
        decode_video(path)
    assert raised.value.reason == reason
    message = str(raised.value)
    assert message.startswith(f"cannot decode {str(path)!r}: ")
    assert told in message
    assert "\n" not in message


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.mp4", "file_missing"), (tmp_path, "not_a_file")):
        with pytest.raises(MediaError) as raised:
            decode_video(path)
        assert raised.value.reason == reason


def test_a_stream_without_a_frame(tmp_path: Path) -> None:
    """A sound file's index with a video track that was never written to."""
    data = encoded(moving(1), container="avi", codec="mjpeg", pix_fmt="yuvj420p", options=LOSSY)
    start = data.index(b"movi")
    end = data.index(b"idx1")
    emptied = bytearray(data)
    emptied[start + 4 : end] = b"JUNK" + (end - start - 12).to_bytes(4, "little") + bytes(end - start - 12)
    with pytest.raises(MediaError) as raised:
        decode_video(write(tmp_path, "a.avi", bytes(emptied)))
    assert raised.value.reason == "no_frames"


def test_frames_that_change_their_size(tmp_path: Path) -> None:
    """Two streams of H.264, one after the other, as a joined recording has them."""
    small = encoded(moving(2, H // 2, W // 2), container="matroska", codec="mjpeg", pix_fmt="yuvj420p", options=LOSSY)
    large = encoded(moving(2), container="matroska", codec="mjpeg", pix_fmt="yuvj420p", options=LOSSY)
    import av

    pictures = []
    for data in (large, small):
        path = write(tmp_path, "one.mkv", data)
        with av.open(str(path)) as file:
            pictures += [bytes(packet) for packet in file.demux(video=0) if packet.size]
    target = tmp_path / "joined.mkv"
    with av.open(str(tmp_path / "one.mkv")) as template, av.open(str(target), "w") as joined:
        stream = joined.add_stream_from_template(template.streams.video[0])
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number * 100, number * 100, True
            packet.time_base = stream.time_base
            joined.mux(packet)
    with pytest.raises(
        MediaError, match=f"its frames change from {W} x {H} to {W // 2} x {H // 2} at frame 2"
    ) as raised:
        decode_video(target)
    assert raised.value.reason == "size_changes"


def test_a_bound_on_memory_holds_before_and_while_decoding(tmp_path: Path) -> None:
    path = write(tmp_path, "a.mp4", encoded(moving()))
    assert len(decode_video(path, max_bytes=T * H * W * 3).frames) == T
    with pytest.raises(MediaError, match=f"{T} or more frames of {W} x {H} take more than") as raised:
        decode_video(path, max_bytes=T * H * W * 3 - 1)
    assert raised.value.reason == "too_large"
    unannounced = write(tmp_path, "a.mkv", encoded(moving(), container="matroska"))
    with pytest.raises(MediaError) as raised:
        decode_video(unannounced, max_bytes=2 * H * W * 3)
    assert raised.value.reason == "too_large"


def transparent_gif(side: int) -> bytes:
    """One frame whose first pixel alone is drawn, transparent: what lies around it is not opaque either."""
    drawn = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    control = b"\x21\xf9\x04\x01\x00\x00\x00\x00"
    return b"GIF89a" + struct.pack("<2H3B", side, side, 0x80, 0, 0) + bytes(6) + control + drawn + b"\x3b"


def test_what_compositing_takes_is_no_multiple_of_a_frame(tmp_path: Path) -> None:
    path, side = write(tmp_path, "a.gif", transparent_gif(2000)), 2000
    decode_video(write(tmp_path, "small.gif", transparent_gif(8)))
    tracemalloc.start()
    try:
        clip = decode_video(path)
        # What is decoded takes four bytes a pixel, what comes of it three.
        assert tracemalloc.get_traced_memory()[1] < 12 * side**2
    finally:
        tracemalloc.stop()
    assert clip.notes == ("alpha_on_white",)
    assert (clip.frames[0] == 255).all()


def test_compositing_in_bands_rounds_every_pair_to_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_BAND_PIXELS", 1000)
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.stack([colour, colour, colour, alpha], -1).astype(np.uint8)
    exact = (colour * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(video._on_white(rgba) - exact[..., None]).max() <= 0.5


def test_one_frame_is_bounded_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"its frames of 6000 x 6000 have 36000000 pixels, and the limit is 33554432"):
        decode_video(write(tmp_path, "a.gif", transparent_gif(6000)))


@pytest.mark.parametrize(
    ("frames", "fps", "told"),
    [
        (np.zeros((0, 4, 4, 3), np.uint8), 8.0, "no frame"),
        (np.zeros((2, 4, 4), np.uint8), 8.0, r"uint8 \[H, W, 3\]"),
        (np.zeros((2, 4, 4, 3), np.float32), 8.0, "float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), 0.0, "positive frame rate"),
    ],
)
def test_what_cannot_be_encoded(frames: Any, fps: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        encode_mp4(frames, fps)
