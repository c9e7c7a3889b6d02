#!/usr/bin/env bash
# The Ansible role makes a murder of three nodes and an operator on this machine: with --check
# first, then really, then again, which must change nothing.
#
# Usage: tests/deploy/ansible.sh BIN, with the binaries. It needs root and ansible-core. In a mount
# namespace of its own /etc, /usr/local and /var/lib are overlays, so that nothing of it stays, and
# tests/deploy/systemctl stands in for systemd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != --inside ]; then
    bin=$(cd "$1" && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unshare --mount --pid --fork --mount-proc "$0" --inside "$bin" "$work"
    exit
fi
bin=$2 work=$3

mount -t tmpfs tmpfs "$work"
for directory in etc usr/local var/lib; do
    mkdir -p "$work/upper/$directory" "$work/work/$directory"
    mount -t overlay overlay "/$directory" \
        -o "lowerdir=/$directory,upperdir=$work/upper/$directory,workdir=$work/work/$directory"
done
mkdir "$work/systemctl"
export SYSTEMCTL_DIR=$work/systemctl PATH="$work/path:$PATH"
mkdir "$work/path"
cp "$here/systemctl" "$work/path/systemctl"
mkdir -p /run/systemd/system

cp -r "$here/../../deploy" "$work/deploy"
cd "$work/deploy/ansible"
"$bin/murder" cert init --dir ca >/dev/null
python3 - >inventory.yml <<END
import json, socket
# The same on all nodes, and free now; nobody else in a test run takes ports of this address.
def port():
    with socket.socket() as s:
        s.bind(("127.11.0.1", 0))
        return "127.11.0.1:%d" % s.getsockname()[1]
grpc = port()
common = {"ansible_connection": "local", "ansible_host": "127.11.0.1",
          "ansible_python_interpreter": "/usr/bin/python3", "ansible_become": False}
def node(**more):
    return dict(common, murder_imap_listen=[port()], murder_imaps_listen=[port()],
                murder_lmtp_listen=[port()], murder_http_listen=port(), murder_admin_listen=port(), **more)
print(json.dumps({"all": {
    "vars": {"murder_binaries": "$bin", "murder_ca": "ca", "murder_grpc_listen": grpc,
             "murder_masters": [grpc], "murder_extra_hosts": ["mail.example.org", "192.0.2.1"]},
    "children": {
        "murder_mupdate": {"hosts": {"hub": node()}},
        "murder_backends": {"hosts": {"store-1": node(murder_partitions={
            "default": "/var/lib/murder/backend/default", "archive": "/var/lib/archive"})}},
        "murder_frontends": {"hosts": {"door": node(murder_config={"limits": {"max_connections_per_user": 7}})}},
        "murder_operators": {"hosts": {"anna": dict(common)}}}}}))
END

play() {
    ansible-playbook -i inventory.yml site.yml "$@" >"$work/play.log" 2>&1 || {
        cat "$work/play.log"
        for log in "$work"/systemctl/*.log; do echo "== $log" && tail -20 "$log"; done
        echo "ansible.sh: the play failed: $*" >&2
        exit 1
    }
}
fail() {
    cat "$work/play.log"
    echo "ansible.sh: $*" >&2
    exit 1
}

play --check
[ ! -e /etc/murder ] || fail "a check has made something"
play
/usr/local/bin/murder status --check || fail "the murder is not well"
grep -q 'max_connections_per_user = 7' /etc/murder/frontend.toml || fail "no murder_config"
openssl x509 -in /etc/murder/tls/door.pem -noout -ext subjectAltName | grep -q mail.example.org ||
    fail "no extra host in the certificate"
for play in --check ''; do
    cp "$SYSTEMCTL_DIR/calls" "$work/calls"
    # shellcheck disable=SC2086 # an option or none
    play $play
    grep -B3 "^changed:" "$work/play.log" && fail "a second run changes something"
    cmp -s "$SYSTEMCTL_DIR/calls" "$work/calls" || fail "a second run restarts something"
done
echo '#' >>"$work/deploy/systemd/murder-frontend.service"
play
[ "$(tail -n +"$(($(wc -l <"$work/calls") + 1))" "$SYSTEMCTL_DIR/calls" | tr '\n' ' ')" = \
    "daemon-reload  restart murder-frontend " ] || fail "not only the frontend was restarted"
for service in frontend backend mupdate; do systemctl stop murder-$service; done
echo "ansible.sh: 5 passed, 0 failed"
