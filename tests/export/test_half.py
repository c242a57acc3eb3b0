from __future__ import annotations

import torch
from safetensors import safe_open

from leadline import checkpoint
from leadline.export.half import export_half
from leadline.foundation.leadline_model import LeadlineModel


def test_half_the_bytes_and_the_same_answers(student_file, tmp_path):
    model = LeadlineModel.open(student_file)
    small = tmp_path / "small.safetensors"
    assert export_half(model, small) < 1e-2
    assert small.stat().st_size < 0.55 * student_file.stat().st_size
    assert checkpoint.read_card(small) == model.card
    with safe_open(small, "pt") as opened:
        assert {opened.get_tensor(name).dtype for name in opened.keys()} >= {torch.float16, torch.float32}  # noqa: SIM118
    again = LeadlineModel.open(small)
    assert {p.dtype for p in again.student.parameters()} == {torch.float32}
    image = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(again.infer(image), model.infer(image), rtol=1e-2, atol=1e-3)
