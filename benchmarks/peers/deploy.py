"""The documented toolkit step for pyinfra: key, repository, package, runtime, Docker."""

from pyinfra.operations import apt, files, systemd

files.put(name="key", src="keyring.gpg", dest="/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg", mode="644")
files.put(
    name="repository", src="toolkit.list", dest="/etc/apt/sources.list.d/nvidia-container-toolkit.list", mode="644"
)
apt.packages(name="package", packages=["nvidia-container-toolkit"])
files.put(name="runtime", src="daemon.json", dest="/etc/docker/daemon.json", mode="644")
systemd.service(name="docker", service="docker", running=True, enabled=True)
