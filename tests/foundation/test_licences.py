from __future__ import annotations

from pathlib import Path

import pytest

from leadline.foundation.licences import is_restricted, joined, licence_of, permits_commercial, student_licence


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("depth-anything/Depth-Anything-V2-Small-hf", "apache-2.0"),
        ("depth-anything/Depth-Anything-V2-Large-hf", "cc-by-nc-4.0"),
        ("depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf", "cc-by-nc-4.0"),
        ("LiheYoung/depth-anything-large-hf", "apache-2.0"),
        ("apple/DepthPro-hf", "apple-amlr"),
        ("somebody/Depth-Anything-V2-Small-hf", "unknown"),
    ],
)
def test_known_names(name: str, licence: str) -> None:
    assert licence_of(None, name) == licence


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: mit\ntags: [a]\n---\n# A", "mit"),
        ("---\nlicense: other\nlicense_name: Apple-AMLR\n---\n", "apple-amlr"),
        ("---\ntags: [a]\n---\n", "apache-2.0"),
        ("# no front matter\nlicense: gpl", "apache-2.0"),
        ("---\n: [broken\n---\n", "apache-2.0"),
    ],
)
def test_the_readme_counts_before_the_name(readme: str, licence: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(readme)
    assert licence_of(tmp_path, "Intel/dpt-large") == licence


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("apache-2.0", True), ("MIT", True), ("cc-by-sa-4.0", True), ("cc-by-nc-4.0", False), ("apple-amlr",
        False), ("research-only", False), ("Non-Commercial use", False), ("unknown", None), ("dinov3-license",
        None), ("", None), ("licence of ncsoft", None),
    ],
)  # fmt: skip
def test_what_a_licence_permits_survives_distillation(licence: str, permitted: bool | None) -> None:
    assert permits_commercial(licence) is permitted
    assert permits_commercial(student_licence(licence)) is permitted
    assert is_restricted(student_licence(licence)) is (permitted is not True)


@pytest.mark.parametrize(
    ("terms", "permitted"),
    [
        (["apache-2.0", "mit", "mit"], True),
        (["apache-2.0", "cc-by-nc-sa-4.0"], False),
        (["apache-2.0", "unknown"], None),
        (["unknown", "cc-by-nc-4.0"], False),
        (["mit", "needs facebook/dinov2-small, whose licence is apache-2.0"], True),
        (["mit", "needs facebook/x, whose licence is cc-by-nc-4.0"], False),
        ([student_licence("apache-2.0"), "cc-by-nc-sa-4.0"], False),
        ([student_licence("apache-2.0"), "cc-by-4.0"], True),
    ],
)
def test_all_of_several_terms_hold_also_for_who_learns_from_them(terms: list[str], permitted: bool | None) -> None:
    together = joined(*terms)
    assert len(together.split("; ")) == len(set(terms))
    assert permits_commercial(together) is permitted
    assert permits_commercial(student_licence(together)) is permitted
    assert permits_commercial(student_licence(student_licence(together))) is permitted


def test_an_unknown_teacher_is_said_to_be_restricted() -> None:
    assert "treat as restricted" in student_licence("unknown")
