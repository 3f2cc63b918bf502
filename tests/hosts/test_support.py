"""support.bundle on a real host: one archive that tells much and betrays nothing."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from tests.conftest import Fab, Hosts
from tests.waiting import until

NAME = "cuda_container_chatbot"
FOLDER = f"/var/lib/gpudock/{NAME}"
HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c29tZXNhbHRoZXJl$aGFzaGhhc2hoYXNoaGFzaA"
TOKEN = "Zq8vN3xT0kenT0kenT0ken"

# Each where such a secret really is: in files, logs, the environment, daemon.json, addresses.
SECRETS = {
    "JupyterLab's password": "tiger-on-the-roof",
    "its hash": "aGFzaGhhc2hoYXNoaGFzaA",
    "its token": TOKEN,
    "a proxy's password": "pr0xy-passw0rd",
    "dockerd's proxy's password": "engine-proxy-pw",
    "a variable's value": "hunter-of-models",
    "a variable set by hand": "set-by-hand-value",
    "sudo's password": "test-sudo-password",
    "a token in the log": "logged-token-1234",
}
MAKE = f"""mkdir -p {FOLDER}/container/jupyter {FOLDER}/container/ssh /etc/docker
cat >{FOLDER}/container/jupyter/password <<'X'\n{HASH}\nX
echo {TOKEN} >{FOLDER}/container/jupyter/token
echo '{{"proxies": {{"https-proxy": "http://engine:engine-proxy-pw@127.0.0.1:9"}}}}' >/etc/docker/daemon.json
cat >{FOLDER}/compose.yml <<'X'
services:
  {NAME}:
    image: other
    environment: {{MODEL_NAME: set-by-hand-value, TZ: Etc/UTC}}
X
systemctl reset-failed docker; systemctl restart docker
docker run -d --name {NAME} -e MODEL_SECRET=set-by-hand-value --entrypoint /bin/sh speaker -c '
  echo "http://127.0.0.1:8888/lab?token=logged-token-1234"; echo "{TOKEN}"; echo tiger-on-the-roof; sleep 3600'"""
IMAGE = """mkdir -p /tmp/speaker/bin; cp /bin/sh /bin/sleep /tmp/speaker/bin
ldd /bin/sh /bin/sleep | grep -o '/lib[^ ]*' | grep -v : | sort -u | xargs -I{} cp --parents {} /tmp/speaker
tar -C /tmp/speaker -c . | docker import - speaker"""


def test_the_bundle_tells_much_and_betrays_nothing(hosts: Hosts, fab: Fab, tmp_path: Path) -> None:
    """Facts, versions, logs, findings and settings are in it; no password, token or hash is, wherever it came from."""
    host = hosts("trixie-docker")
    host.sh(f"{IMAGE}\n{MAKE}")
    until(lambda: SECRETS["JupyterLab's password"] in host.sh(f"docker logs {NAME}"))
    path = tmp_path / "ticket.tar.gz"
    words = [
        "--set",
        "network.https_proxy=http://ops:pr0xy-passw0rd@127.0.0.1:9",
        "--set",
        "stack.environment.HF_NAME=hunter-of-models",
    ]
    environ = {
        "GPUDOCK_JUPYTER_PASSWORD": SECRETS["JupyterLab's password"],
        "GPUDOCK_SUDO_PASSWORD": "test-sudo-password",
    }
    done = fab({"gpu01": (host, "ask")}, "support.bundle", "--output", str(path), *words, environ=environ)
    assert done.code == 0, done.err
    assert str(path) in done.out
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        files = {item.name.partition("/")[2]: archive.extractfile(item).read().decode() for item in archive}  # type: ignore[union-attr]
    for what, secret in SECRETS.items():
        held = [name for name, text in files.items() if secret in text]
        assert not held, f"{what} is in {held}"
    assert "/lab?token=•••" in files["logs/container.txt"]
    assert "docker" in files["logs/engine.txt"]
    assert "Server:" in files["versions.txt"]
    assert "stack.environment.HF_NAME = •••" in files["settings.txt"]
    assert "https_proxy = http://•••@127.0.0.1:9" in files["settings.txt"]
    assert "MODEL_NAME: •••\n      TZ: Etc/UTC" in files["compose.yml"]
    found = json.loads(files["doctor.json"])
    assert "proxy" in {item["id"] for item in found["findings"]} | {item["id"] for item in found["unknown"]}


def test_a_dry_run_writes_nothing_and_each_host_has_its_own(fab: Fab, hosts: Hosts, tmp_path: Path) -> None:
    """--dry-run tells what would be in it; one name for two hosts becomes two."""
    path = tmp_path / "ticket.tar.gz"
    host = hosts("trixie")
    done = fab({"gpu01": (host, "root")}, "support.bundle", "--dry-run", "--output", str(path))
    assert (done.code, path.exists(), "logs/engine.txt" in done.out) == (0, False, True)
    done = fab({"gpu01": (host, "root"), "gpu02": (host, "root")}, "support.bundle", "--output", str(path))
    assert done.code == 0, done.err
    assert sorted(item.name for item in tmp_path.glob("*.tar.gz")) == ["gpu01-ticket.tar.gz", "gpu02-ticket.tar.gz"]
