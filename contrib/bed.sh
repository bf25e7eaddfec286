# A temporary directory with private Dovecots in it, for the scripts beside this file, which source it. All that is made
# lies in that directory; all that is started ends with the script, however that ends.
# shellcheck shell=bash

export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin

bed=
# The process groups to end, each named by its first process.
groups=()

clean_up() {
  local group
  # Whoever is told to end twice shall not leave half of it.
  trap '' INT TERM HUP
  for group in "${groups[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${groups[@]}"; do
    for _ in {1..150}; do
      kill -0 -- "-$group" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$group" 2>/dev/null || true
  done
  if [[ -n $bed ]]; then rm -rf "$bed"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Builds interimap and sets $interimap to it.
build_interimap() {
  contrib/install-missing
  cargo build --release --locked --quiet </dev/null
  interimap=$(cargo metadata --format-version 1 --no-deps --offline |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/interimap
}

# Makes the directory. Paths of sockets may have 108 octets only, so it lies in /tmp.
make_bed() { # NAME
  bed=$(mktemp -d "/tmp/ii-$1.XXXXXX")
  chmod 755 "$bed"
  mkdir "$bed/log"
  chmod 777 "$bed/log"
  imap=/usr/lib/dovecot/imap
  [[ -x $imap ]] || imap=/usr/libexec/dovecot/imap
  owner=$(id -un) group=$(id -gn) as_owner=''
  # Dovecot gives root no mail, so root lends it to nobody.
  if ((EUID == 0)); then
    owner=nobody group=$(id -gn nobody)
    as_owner="mail_uid = $owner
mail_gid = $group"
  fi
}

# Makes a side, which has users but no daemon yet: a session without one reads SIDE.conf.
make_side() { # SIDE FORMAT SEPARATOR
  mkdir -p "$bed/$1" "$bed/$1.run" "$bed/$1.state"
  chmod 777 "$bed/$1.state"
  cat >"$bed/$1.mail" <<END
protocols = imap
first_valid_uid = 1
first_valid_gid = 1
mail_location = $2:~/$2
namespace inbox {
  inbox = yes
  separator = $3
}
END
  {
    cat "$bed/$1.mail"
    printf 'base_dir = %s\nssl = no\nlog_path = %s\n%s\n' "$bed/$1.run" "$bed/log/$1" "$as_owner"
  } >"$bed/$1.conf"
}

make_user() { # SIDE USER
  mkdir "$bed/$1/$2"
  if ((EUID == 0)); then chown "$owner" "$bed/$1/$2"; fi
}

# The shell command that speaks IMAP for a user on its standard input and output, without a daemon.
session() { # SIDE USER
  echo "exec env USER=$2 HOME=$bed/$1/$2 $imap -c $bed/$1.conf"
}

# Speaks IMAP to a side: commands on standard input, responses on standard output.
speak() { # SIDE USER
  { sed 's/$/\r/'; printf 'z LOGOUT\r\n'; } | sh -c "$(session "$1" "$2")" 2>>"$bed/log/speak" | tr -d '\r'
}

# Starts a side's daemon on a port of its own and sets $port to that. The password of every user is "secret".
start_side() { # SIDE
  for _ in {1..10}; do
    port=$((20000 + RANDOM % 10000))
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
    if daemon_greets "$1"; then return; fi
  done
  echo 'Dovecot did not start:' >&2
  cat "$bed"/log/* >&2
  exit 1
}

daemon_greets() { # SIDE
  local daemon name
  name=$(basename "$bed")-$1-$port
  { cat "$bed/$1.mail" - <<END; } >"$bed/$1.daemon"
base_dir = $bed/$1.run
state_dir = $bed/$1.state
instance_name = $name
login_greeting = $name
listen = 127.0.0.1
log_path = $bed/log/$1-daemon
default_internal_user = $owner
default_internal_group = $group
default_login_user = $owner
ssl = no
disable_plaintext_auth = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=$owner gid=$group home=$bed/$1/%u
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $port
  }
  inet_listener imaps {
    port = 0
  }
}
END
  # Dovecot's own processes belong to its process group. Job control gives it one.
  set -m
  dovecot -F -c "$bed/$1.daemon" </dev/null >/dev/null 2>>"$bed/log/stderr" &
  daemon=$!
  set +m
  groups+=("$daemon")
  for _ in {1..100}; do
    kill -0 "$daemon" 2>/dev/null || return 1
    # Another program may have taken the port meanwhile; the greeting tells.
    if (exec 3<>"/dev/tcp/127.0.0.1/$port" && IFS= read -r -t 5 greeting <&3 && [[ $greeting == *"$name"* ]]) 2>/dev/null
    then
      return 0
    fi
    sleep 0.1
  done
  return 1
}
