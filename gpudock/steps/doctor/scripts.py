"""The shell texts of doctor's questions: POSIX sh, read-only, each printing the little that rules read.

Those with `$engine` are asked when the engine has answered and read what it said, so that no docker client starts where
there is nothing to ask of it: each costs the host 16 to 70 ms of processor time.
"""

from __future__ import annotations

# bus address, class, driver that is bound (- for none), for each NVIDIA device
PCI = """[ -d /sys/bus/pci/devices ] || exit 0
for found in $(grep -l 0x10de /sys/bus/pci/devices/*/vendor 2>/dev/null); do device=${found%/vendor}
  bound=$(readlink "$device/driver"); echo "${device##*/} $(cat "$device/class") ${bound##*/}"; done"""

# The code of cuInit: 0 good, 999 unknown, 802 not yet initialised. It makes no context; as nvidia-smi does, it may
# have the driver load its own modules.
CUDA = """command -v python3 >/dev/null || exit 127
timeout 5 python3 -c 'import ctypes
try: library = ctypes.CDLL("libcuda.so.1")
except OSError: raise SystemExit(127)
print(library.cuInit(0))'"""

KERNEL_LOG = """command -v dmesg >/dev/null && dmesg >/dev/null 2>&1 || exit 1
dmesg | grep -E 'NVRM|nvidia|nova|nouveau|Key was rejected' | tail -n 60"""

FABRIC = """systemctl is-active nvidia-fabricmanager 2>/dev/null
nv-fabricmanager --version 2>/dev/null; journalctl -b -q -n 5 -o cat -u nvidia-fabricmanager 2>/dev/null; :"""

PERSISTENCE = """systemctl is-active nvidia-persistenced 2>/dev/null
[ -S /run/nvidia-persistenced/socket ] && echo socket; :"""

SECURE_BOOT = """mokutil --sb-state 2>/dev/null || { od -An -t u1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null |
  awk '{ print "SecureBoot", $NF == 1 ? "enabled" : "disabled" }'; }
echo "signer: $(modinfo -F signer nvidia 2>/dev/null)\""""

WSL = """grep -qi microsoft /proc/sys/kernel/osrelease || exit 0
echo wsl; dpkg-query -W -f '${Package} ${db:Status-Status}\\n' 'nvidia-driver*' 'nvidia-dkms*' 2>/dev/null; :"""

# a line a file: path, the driver version its libraries name, its number of MIG devices; then the refreshing unit
CDI = """for spec in /etc/cdi/*.yaml /etc/cdi/*.json /var/run/cdi/*.yaml /var/run/cdi/*.json; do
  grep -qs 'nvidia.com/gpu' "$spec" || continue
  version=$(grep -o 'libcuda\\.so\\.[0-9][0-9]*\\.[0-9.]*[0-9]' "$spec" | head -n 1)
  index=$(grep -cE '^ *(- )?"?name"?: *"?[0-9]+:[0-9]+"?,?$' "$spec"); mig=$(grep -cE 'name"?: *"?MIG-' "$spec")
  [ "$mig" -gt "$index" ] || mig=$index; echo "spec $spec ${version#libcuda.so.} $mig"; done
echo "unit $(systemctl is-active nvidia-cdi-refresh.service 2>/dev/null)"
journalctl -b -q -n 4 -o cat -u nvidia-cdi-refresh.service 2>/dev/null; :"""

VALIDATE = """[ -e "$1" ] || exit 0
said=$(dockerd --validate --config-file "$1" 2>&1) || { echo "$said" | tail -n 2; exit 1; }"""

DAEMON_COMMAND = """systemctl cat docker.service 2>/dev/null | grep '^ExecStart=..*' | tail -n 1
pid=$(cat /var/run/docker.pid 2>/dev/null) && tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null; :"""

ENGINE_KIND = """readlink -f "$(command -v docker)"; readlink -f "$(command -v dockerd)"
snap list docker 2>/dev/null | grep '^docker '; ls /run/user/*/docker.sock 2>/dev/null
journalctl -q -n 3 -o cat -u docker.service 2>/dev/null | sed 's/^/said /'; :"""

# When the hook came (its change time: packages keep the time of the build in the other one), when dockerd started, by
# its pid file, as a small machine has no ps.
HOOK = """hook=$(command -v nvidia-container-runtime-hook) || exit 0
[ -e /var/run/docker.pid ] || exit 0
echo "$(stat -c %Z "$hook") $(stat -c %Y /var/run/docker.pid)\""""

PACKAGES = """if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' "$@" 2>/dev/null
else rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE} installed\\n' "$@" 2>/dev/null | grep ' installed$'; fi; :"""

# name, installed version, the newest one of the package lists
CANDIDATES = """apt-cache policy "$@" 2>/dev/null | awk '/^[a-z]/ { name = $1; sub(":", "", name) }
  /Installed:/ { have = $2 } /Candidate:/ { print name, have, $2 }'"""

# the command that releases it, for each held package
HOLDS = """command -v dpkg >/dev/null && dpkg --get-selections | awk '$2 == "hold" { print "apt-mark unhold " $1 }'
sed -n 's/^\\([^#!].*\\)-[0-9]*:[^-]*-[^-]*$/dnf versionlock delete \\1/p' /etc/dnf/plugins/versionlock.list \\
  /etc/yum/pluginconf.d/versionlock.list 2>/dev/null
sed -n 's/^name = "\\(.*\\)"$/dnf versionlock delete \\1/p' /etc/dnf/versionlock.toml 2>/dev/null
sed -n 's/^solvable_name: /zypper removelock /p' /etc/zypp/locks 2>/dev/null; :"""

# error flag, state and name of each package that is neither installed nor gone
HALF = """dpkg-query -W -f '${db:Status-Eflag} ${db:Status-Status} ${binary:Package}\\n' 2>/dev/null |
  grep -vE '^ok (installed|config-files|not-installed) '; :"""

# file:line of every entry that apt reads for NVIDIA's container packages, in both formats; with deb822 the whole file
APT_ENTRIES = """cd /etc/apt 2>/dev/null || exit 0
for file in sources.list sources.list.d/*.list; do
  [ -r "$file" ] && grep -E '^[^#]*(libnvidia-container|nvidia-container-runtime|nvidia-docker)' "$file" |
    sed "s|^|/etc/apt/$file |"; done
for file in sources.list.d/*.sources; do
  grep -qsE '^[^#]*(libnvidia-container|nvidia-container-runtime|nvidia-docker)' "$file" || continue
  echo "/etc/apt/$file $(grep -v '^#' "$file" | tr '\\n' ' ')"; done; :"""

# path, mode, size, and whether gpg finds a key, of each key file that those entries name
APT_KEYS = """named=$(cat /etc/apt/sources.list.d/*nvidia* /etc/apt/sources.list.d/*libnvidia* 2>/dev/null |
  grep -v '^#' | grep -oiE 'signed-by[=:] *[^] ]*' | sed 's/^[^=:]*[=:] *//' | sort -u)
for key in $named; do case $key in /*) ;; *) continue;; esac
  [ -e "$key" ] || { echo "$key missing"; continue; }
  good=unknown; command -v gpg >/dev/null && good=none
  gpg --batch --show-keys "$key" >/dev/null 2>&1 && good=key
  echo "$key $(stat -c '%a %s' "$key") $good"; done; :"""

# who holds dpkg's or apt's lock: the lock's file, the process and its age in seconds
APT_LOCK = """for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
  number=$(stat -c %i "$lock" 2>/dev/null) || continue
  pid=$(awk -v file=":$number" 'index($6, file) && $6 ~ file "$" { print $5; exit }' /proc/locks)
  [ -n "$pid" ] && [ "$pid" != 0 ] && [ -d "/proc/$pid" ] || continue
  echo "$lock $pid $(($(date +%s) - $(stat -c %Y "/proc/$pid"))) $(cat "/proc/$pid/comm")"; done; :"""

# A JSON object a container that runs, without what may be secret: of the environment, only what rules read.
CONTAINERS = """ids=$(grep -o '"Id":"[0-9a-f]*","Names":' "$engine" | cut -d '"' -f 4); [ -n "$ids" ] || exit 0
docker inspect --format '{{if .State.Running}}{"name":{{json .Name}},"image":{{json .Config.Image}},'\\
'"user":{{json .Config.User}},'\\
'"runtime":{{json .HostConfig.Runtime}},"requests":{{json .HostConfig.DeviceRequests}},'\\
'"devices":{{json .HostConfig.Devices}},"shm":{{.HostConfig.ShmSize}},"ipc":{{json .HostConfig.IpcMode}},'\\
'"privileged":{{.HostConfig.Privileged}},"mounts":{{json .Mounts}},"ports":{{json .NetworkSettings.Ports}},'\\
'"env":[{{range .Config.Env}}{{$part := split . "="}}{{if or (eq (index $part 0) "NVIDIA_VISIBLE_DEVICES") '\\
'(eq (index $part 0) "NVIDIA_REQUIRE_CUDA") (eq (index $part 0) "NVIDIA_DISABLE_REQUIRE") '\\
'(eq (index $part 0) "SSH_PASSWORDS")}}{{json .}},{{end}}{{end}}null]}{{end}}' $ids"""

# name|exit code|first line of `nvidia-smi -L` in each container that was given GPUs and runs: a paused one cannot be
# asked, nor one that starts again and again
CONTAINER_GPUS = """ids=$(grep -o '"Id":"[0-9a-f]*","Names":' "$engine" | cut -d '"' -f 4); [ -n "$ids" ] || exit 0
command -v nvidia-smi >/dev/null || exit 0
docker inspect --format '{{if eq .State.Status "running"}}{{.Name}} {{.HostConfig.Runtime}} '\\
'{{len .HostConfig.DeviceRequests}} {{range .HostConfig.Devices}}{{.PathOnHost}},{{end}}{{end}}' $ids | {
while read -r name runtime requests devices; do
  case "$runtime $requests $devices" in nvidia\\ *|*\\ [1-9]*|*nvidia*) ;; *) continue;; esac
  (said=$(timeout 5 docker exec "${name#/}" nvidia-smi -L 2>&1); echo "${name#/}|$?|$(echo "$said" | head -n 1)") &
done; wait; }"""

# Seen from inside gpudock's own container: how many files a process may open, and what sshd would do.
INSIDE = """pid=$(sed -n 's/.*"Pid":\\([0-9]*\\),.*/\\1/p' "$engine"); [ "${pid:-0}" != 0 ] || exit 1
docker exec "$1" sh -c 'echo "nofile $(ulimit -n)"; sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] && "$sshd" -T 2>/dev/null |
  grep -E "^(passwordauthentication|permitrootlogin|permitemptypasswords|port) "; :'"""

# What guards JupyterLab: the kind of its kept hash, whether there is a token, and what its processes were told.
JUPYTER = """pid=$(sed -n 's/.*"Pid":\\([0-9]*\\),.*/\\1/p' "$engine"); [ ! -e "$1/services/jupyter" ] || echo wanted
[ -s "$1/jupyter/password" ] && echo "password $(head -c 7 "$1/jupyter/password" | cut -d: -f1)"
[ -s "$1/jupyter/token" ] && echo "token $(tr -d '\\n' <"$1/jupyter/token" | wc -c)"
for args in $(grep -ls jupyter /proc/[0-9]*/cmdline); do
  [ "${args%/*}/ns/pid" -ef "/proc/${pid:-0}/ns/pid" ] && tr '\\0' ' ' <"$args"; done |
  grep -oE -- '--(ServerApp|NotebookApp|IdentityProvider)\\.(token|password)=[^ ]{0,2}' |
  sed 's/=..*/=set/; s/^/told /'; :"""

# what, path, free kB, size in kB, free inodes, inodes
DISKS = """root=$(sed -n 's/.*"DockerRootDir":"\\([^"]*\\)".*/\\1/p' "$engine")
show() { [ -d "$2" ] || return 0
  echo "$1 $2 $(df -Pk "$2" | awk 'NR == 2 { print $4, $2 }') $(df -Pi "$2" | awk 'NR == 2 { print $4, $2 }')"; }
show engine "${root:-/var/lib/docker}"; show containerd /var/lib/containerd; show system /; show temporary /tmp
show state "$1\""""

LIMITS = """for name in max_user_instances max_user_watches; do
  echo "$name $(cat /proc/sys/fs/inotify/$name)"; done"""

# addresses given, and the first apt source's: does the name resolve?
NAMES = """first=$(sed -n 's/^deb \\(\\[.*\\] \\)\\{0,1\\}\\([a-z]*:[^ ]*\\).*/\\2/p; s/^URIs: *\\([^ ]*\\).*/\\1/p' \\
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
for address in $first "$@"; do name=${address#*://}; name=${name%%/*}; name=${name##*@}; name=${name%%:*}
  [ -n "$name" ] || continue
  (timeout 3 getent ahosts "$name" >/dev/null 2>&1; echo "$name $?") & done; wait"""

# layer, address, what came of it (an HTTP code, or why not), and how far the host's clock is ahead, in seconds;
# whose certificates are trusted is not the question here
REACH = """. /etc/os-release; proxy=$1; shift; [ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy"
one() { if command -v curl >/dev/null; then
    head=$(curl -sSLIk -m 4 -w 'code %{http_code}' "$2" 2>&1); code=$(echo "$head" | sed -n 's/^code //p')
    [ "${code:-000}" != 000 ] || code=$(echo "$head" | head -n 1 | tr ' ' '_')
    stamp=$(echo "$head" | tr -d '\\r' | sed -n 's/^[Dd]ate: //p' | tail -n 1)
  elif [ -n "$proxy" ] || ! command -v bash >/dev/null; then return
  else rest=${2#*://}; name=${rest%%/*}; case $name in *:*) port=${name##*:};; *) port=443
    case $2 in http:*) port=80;; esac;; esac; stamp=
    code=no_answer; timeout 4 bash -c ": </dev/tcp/${name%%:*}/$port" 2>/dev/null && code=200; fi
  ahead=-; [ -z "$stamp" ] || ahead=$(($(date +%s) - $(date -d "$stamp" +%s)))
  echo "$1 $2 $code $ahead"; }
for pair in "$@"; do
  address=$(echo "${pair#*=}" | sed "s/{id}/$ID/; s/{release}/$VERSION_CODENAME/")
  one "${pair%%=*}" "$address" & done; wait"""

# whether the proxy listens, and what Docker's daemon itself uses
PROXY = """rest=${1#*://}; name=${rest%%/*}
if [ -n "$name" ]; then command -v bash >/dev/null || exit 127
  timeout 3 bash -c ": </dev/tcp/${name%%:*}/${name##*:}" 2>/dev/null && echo listens || echo silent; fi
for name in HttpsProxy HttpProxy; do
  sed -n "s/.*\\"$name\\":\\"\\([^\\"]*\\)\\".*/daemon \\1/p" "$engine"; done | sed 's|//[^/@]*@|//|'"""

# seconds ahead of the operator's clock, and whether it is kept right
CLOCK = """echo "ahead $(($(date +%s) - $1))\"; timedatectl show -p NTPSynchronized -p NTP 2>/dev/null; :"""
