"""What leaves in a support archive: no secret stays, and what is none does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpudock.redaction import HIDDEN, clean

HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("http://ops:hunter22@proxy:3128/x", "hunter22"),
        ("https://tokenonly0123@host/x", "tokenonly0123"),
        ("http://127.0.0.1:8888/lab?token=6b2f9c&x=1", "6b2f9c"),
        (f"hashed_password: {HASH}", "c29tZXNhbHQ"),
        (HASH, "aGFzaGhhc2hoYXNo"),
        ("root:$6$salt$" + "a" * 86 + ":19000:0", "a" * 86),
        ("ops:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7:1", "X3DX6M94c7o"),
        ("sha1:67c9e60bb8b6:9ffede0825894254b2e042ea597d771089e11aed", "9ffede0825894254"),
        ('"Env": ["HF_TOKEN=hf_abcdefghijklmnopqrst"]', "abcdefghijklmnopqrst"),
        ('{"MYSQL_ROOT_PASSWORD": "correct horse"}', "correct"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
        ("OPENAI_API_KEY=sk-proj-abcdefghijklmnop", "abcdefghijklmnop"),
        ("serve --api-key s3cr3tvalue --port 1", "s3cr3tvalue"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "eyJhbGciOiJIUzI1NiJ9"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nLXYx\n-----END OPENSSH PRIVATE KEY-----\nend", "LXYx"),
        ("password: 'quoted value'", "quoted"),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, secret: str) -> None:
    """Passwords in addresses, tokens, hashes, keys, and values named as secrets are replaced."""
    assert secret not in clean(text)
    assert HIDDEN in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "jupyter.password_file =    (config/default.yml)",
        "ssh.passwords = False   (config/default.yml)",
        "NVIDIA-SMI 580.95.05  Driver Version: 580.95.05  CUDA Version: 13.0",
        "PasswordAuthentication no",
        "http://127.0.0.1:8888/lab",
        "PATH=/opt/envs/chatbot/bin:/usr/bin TZ=Etc/UTC",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """What helps to find a fault is not blotted out."""
    assert clean(text) == text


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=40), st.text(max_size=40))
def test_a_known_secret_never_stays(secret: str, around: str) -> None:
    """Whatever stands around a known secret, it goes."""
    assert secret not in clean(f"{around}{secret}{around}", [secret]).replace(HIDDEN, "")
