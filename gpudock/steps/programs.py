"""Docker's programs on a machine: which client can build, and how Compose is called."""

from __future__ import annotations

# A machine can have several clients, and one from 23.0 on builds only with the buildx plugin.
PLUGIN_FOLDERS = "/usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker $HOME/.docker"
LIST = f"""buildx=; for folder in {PLUGIN_FOLDERS}; do
  [ ! -e "$folder/cli-plugins/docker-buildx" ] || buildx=there
  for plugin in "$folder"/cli-plugins/*; do [ ! -e "$plugin" ] || echo "plugin ${{plugin##*/}}"; done
done
IFS=:; for folder in $PATH; do
  [ ! -f "$folder/docker-compose" ] || [ ! -x "$folder/docker-compose" ] || echo "compose $folder/docker-compose"
  [ -f "$folder/docker" ] && [ -x "$folder/docker" ] || continue
  for other in $seen; do [ ! "$folder/docker" -ef "$other" ] || continue 2; done; seen=$seen:$folder/docker
  version=0  # with the plugin every client builds, and a client takes 15 ms to say its version
  [ -n "$buildx" ] || version=$("$folder/docker" --version | sed 's/.*version \\([0-9.]*\\).*/\\1/')
  echo "client $folder/docker $version"
done"""


def choose(listing: str) -> tuple[str, bool, tuple[str, ...]]:
    """Choose the first client that can build, else the first there is; tell whether it can, and how to call Compose."""
    rows = [line.split() for line in listing.splitlines()]
    plugins = {row[1] for row in rows if row[0] == "plugin"}
    clients = [row[1:] for row in rows if row[0] == "client" and len(row) == 3]
    able = [path for path, version in clients if "docker-buildx" in plugins or int(version.split(".")[0]) < 23]
    client = next(iter([*able, *(path for path, _ in clients)]), "")
    old_compose = [(row[1],) for row in rows if row[0] == "compose" and len(row) == 2]
    compose = (client, "compose") if client and "docker-compose" in plugins else next(iter(old_compose), ())
    return client, bool(able), compose
