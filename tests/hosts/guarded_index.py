"""A package index behind a password, served on a host."""

from __future__ import annotations

import base64

import pytest

from gpudock import measure
from gpudock.measure import Choice
from tests.testbed import TestHost

LOG = "/srv/index.log"
# Sends those who know it on to the real one, and writes down what was asked.
PROGRAM = r"""use IO::Socket::INET; my ($base, $login) = @ARGV; $SIG{CHLD} = "IGNORE";
my $server = IO::Socket::INET->new(LocalPort => 9001, Listen => 20, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) { next if fork; my ($path, $known);
  while (<$client>) { $path = $1 if m#^GET /simple(\S*)#; $known = 1 if /^Authorization: Basic \Q$login\E/i; last if /^\r?$/ }
  open my $log, ">>", "/srv/index.log"; print $log "$path ", $known ? "known" : "unknown", "\n"; close $log;
  print $client $known ? "HTTP/1.1 302 Found\r\nLocation: $base$path\r\n" : "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n";
  print $client "Content-Length: 0\r\nConnection: close\r\n\r\n"; exit }"""


def serve(host: TestHost, login: str) -> str:
    """Serve it to the builds on a host, for `user:password`; its address with these."""
    real = measure.url(Choice("pypi", "", "")).removesuffix("/pip/")
    if not real:
        pytest.skip("this Python has no pip to tell the index's own address")
    host.write("/srv/index.pl", PROGRAM)
    host.sh(f"setsid perl /srv/index.pl {real} {base64.b64encode(login.encode()).decode()} >/dev/null 2>&1 &")
    host.until_listening(9001)
    bridge = host.sh("ip -4 -o addr show docker0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2").strip()
    return f"http://{login}@{bridge}:9001/simple"


def asked(host: TestHost) -> str:
    """What was asked of it, a line each: the path, and `known` where the password came along."""
    return host.read(LOG)
