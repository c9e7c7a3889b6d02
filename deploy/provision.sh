#!/bin/sh
# Makes this machine a node of a murder: user, directories, binaries, certificate, configuration,
# systemd unit. May be run again: what is there already stays, configuration above all, and a node
# of which nothing has changed is not restarted.
set -eu

usage() {
    cat <<'END'
Usage: deploy/provision.sh ROLE [OPTIONS]

ROLE is frontend, backend or mupdate; or operator, for a machine where `murder` is used.

  --name NAME       the node's name, as in its certificate [default: the host's name]
  --host HOST       how other nodes reach this one [default: the host's full name]
  --master ADDRESS  host:port of the mupdate master; not for mupdate itself
  --cert DIR        where `murder cert issue NAME --out DIR` has written; may be left out when
                    the certificate is in place
  --bin DIR         where the binaries are [default: target/release]
  --config FILE     the configuration to install, instead of a filled-in sample; replaces what
                    is there
  --root DIR        install below DIR, and neither make a user nor start anything
  --no-start        do everything but start the service
END
}

fail() {
    echo "provision.sh: $*" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
role=${1:-}
case $role in
frontend | backend | mupdate | operator) shift ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 2
    ;;
esac

name='' host='' master='' cert='' config='' root='' start=yes
bin=$here/../target/release
while [ $# -gt 0 ]; do
    case $1 in
    --no-start)
        start=no
        shift
        continue
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    esac
    [ $# -ge 2 ] || { usage >&2 && exit 2; }
    case $1 in
    --name) name=$2 ;;
    --host) host=$2 ;;
    --master) master=$2 ;;
    --cert) cert=$2 ;;
    --bin) bin=$2 ;;
    --config) config=$2 ;;
    --root) root=${2%/} ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift 2
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "only root can do this; or say --root DIR"
if [ -z "$name" ]; then
    case $role in
    operator) name=operator ;;
    *) name=$(uname -n | cut -d. -f1 | tr '[:upper:]' '[:lower:]') ;;
    esac
fi
[ -n "$host" ] || host=$(hostname -f 2>/dev/null || uname -n)

etc=$root/etc/murder
state=$root/var/lib/murder
binaries=$root/usr/local/bin
units=$root/etc/systemd/system
case $role in
operator) program=murder ;;
*) program=murder-$role ;;
esac

if [ -z "$root" ] && [ "$role" != operator ]; then
    getent group murder >/dev/null || groupadd --system murder
    getent passwd murder >/dev/null || useradd --system --gid murder \
        --home-dir /var/lib/murder --no-create-home --shell /usr/sbin/nologin murder
fi
# install's options for files that the service reads and nobody else does.
if [ -n "$root" ]; then
    readable='-m 0640' private_directory='-m 0750'
elif [ "$role" = operator ]; then
    readable='-m 0600' private_directory='-m 0755'
else
    readable='-m 0640 -o root -g murder' private_directory='-m 0750 -o root -g murder'
fi

[ -x "$bin/$program" ] || fail "$bin/$program is not there; cargo build --release --workspace makes it"

# Whether the running node has to be started anew, or only has to read its certificates again.
restart=no reload=no
# put EFFECT FILE DESTINATION OPTIONS...: installs it if it differs; then EFFECT, restart or
# reload, is due.
put() {
    effect=$1 from=$2 to=$3
    shift 3
    ! cmp -s "$from" "$to" || return 0
    # By way of another name: a program that runs cannot be written to.
    install "$@" "$from" "$to.new"
    mv -f "$to.new" "$to"
    eval "$effect=yes"
}

install -d -m 0755 "$binaries" "$etc"
put restart "$bin/$program" "$binaries/$program" -m 0755

# shellcheck disable=SC2086 # options are words
[ -d "$etc/tls" ] || install -d $private_directory "$etc/tls"
if [ -n "$cert" ]; then
    for file in ca.pem "$name.pem" "$name.key"; do
        [ -f "$cert/$file" ] || fail "$cert/$file is not there; \
murder cert issue $name --role $role --out $cert makes it"
    done
    put reload "$cert/ca.pem" "$etc/tls/ca.pem" -m 0644
    put reload "$cert/$name.pem" "$etc/tls/$name.pem" -m 0644
    # shellcheck disable=SC2086
    put reload "$cert/$name.key" "$etc/tls/$name.key" $readable
fi
[ -f "$etc/tls/$name.key" ] || fail "no certificate for $name in $etc/tls; say --cert DIR"

if [ -z "$config" ] && [ ! -f "$etc/$role.toml" ]; then
    [ "$role" = mupdate ] || [ -n "$master" ] || fail "say --master HOST:PORT, or --config FILE"
    config=$(mktemp)
    trap 'rm -f "$config"' EXIT
    # Names of nodes and hosts hold no `,`. Only [cluster] stands without a comment sign.
    sed -e "s,^name = .*,name = \"$name\"," \
        -e "s,^cert = \"tls/.*,cert = \"tls/$name.pem\"," \
        -e "s,^key = \"tls/.*,key = \"tls/$name.key\"," \
        -e "s,^masters = .*,masters = [\"$master\"]," \
        -e "s,^advertise = \"[^:]*:,advertise = \"$host:," \
        "$here/config/$role.toml" >"$config"
fi
# shellcheck disable=SC2086
[ -z "$config" ] || put restart "$config" "$etc/$role.toml" $readable

if [ "$role" = operator ]; then
    echo "ready: murder status"
    exit 0
fi

install -d -m 0755 "$units"
put restart "$here/systemd/$program.service" "$units/$program.service" -m 0644
if [ -n "$root" ]; then
    install -d -m 0755 "$state"
    install -d -m 0700 "$state/$role"
    echo "installed below $root"
    exit 0
fi
install -d -m 0755 "$state"
install -d -m 0700 -o murder -g murder "$state/$role"

"$binaries/$program" --config "$etc/$role.toml" --check
if [ ! -d /run/systemd/system ]; then
    echo "installed; systemd does not run here, so nothing was started"
    exit 0
fi
systemctl daemon-reload
systemctl enable --quiet "$program"
if [ "$start" = yes ]; then
    if [ "$restart" = yes ]; then
        # With another binary or configuration it starts anew; its sessions end in order.
        systemctl restart "$program"
    elif [ "$reload" = yes ]; then
        systemctl reload-or-restart "$program"
    else
        systemctl start "$program"
    fi
    systemctl --no-pager --lines=0 status "$program"
fi
