#!/bin/sh
# Makes one of the versions under BASE the one that runs, and goes back where it does not become READY.
# Used by install.sh (/opt/eeg-copilot) and by the Debian package (/usr/lib/eeg-copilot). Needs root.
#   activate.sh BASE NAME    switch to BASE/NAME; exit 1: refused or gone back, the old version runs
# Environment: UNITS, folder for unit files where no package manager owns them; RULES, likewise for udev.
set -eu
base=$1 new=$2
old=$(readlink "$base/current" 2>/dev/null || true)
# A switch that was interrupted, or repeated, has nothing older to go back to but what is kept.
previous=$old
if [ -z "$old" ] || [ ! -d "$base/$old" ] || [ "$old" = "$new" ]; then
  previous=$(readlink "$base/previous" 2>/dev/null || true)
  [ -d "$base/${previous:-/nowhere}" ] && [ "$previous" != "$new" ] || previous=
fi

say() { echo "eeg-copilot: $*" >&2; }

# The service may write nowhere, so what it imports is compiled here: by importing it, which is a tenth of all.
compile() {
  "$base/$new/bin/python3" -I - <<'MODULES' 2>/dev/null || true
import importlib, os
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for name in ("daemon.verbs.run", "daemon.verbs.doctor", "daemon.sources.lsl", "daemon.sources.brainflow_board",
             "daemon.metrics", "pipeline.drafts.fhir", "pipeline.drafts.pdf"):
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):
        continue
MODULES
}

running() { [ -d /run/systemd/system ]; }

# Instances that run, or would at the next boot.
units() {
  running || return 0
  { systemctl list-units --plain --no-legend --state=active,activating,reloading,failed 'eeg-copilot*.service' | cut -d' ' -f1
    systemctl list-unit-files --plain --no-legend --state=enabled 'eeg-copilot*.service' | cut -d' ' -f1
    ls /etc/systemd/system/multi-user.target.wants 2>/dev/null | grep -E '^eeg-copilot(-reader)?@.*\.service$' || true
  } | grep -v '@\.service$' | sort -u
}

# The configuration of a unit, as the new version reads it, with the secrets that systemd would hand over.
check() {
  unit=$1 name=${1%.service}
  case $name in
    eeg-copilot) file=/etc/eeg-copilot/eeg-copilot.toml store=eeg-copilot;;
    eeg-copilot@*) file=/etc/eeg-copilot/${name#eeg-copilot@}.toml store=eeg-copilot-${name#eeg-copilot@};;
    *) return 0;;
  esac
  secrets=$(mktemp -d) made=
  for secret in /etc/credstore/"$store".*; do
    [ ! -f "$secret" ] || cp "$secret" "$secrets/${secret#/etc/credstore/"$store".}"
  done
  if [ ! -e "/run/credentials/$unit" ]; then
    mkdir -p /run/credentials && ln -s "$secrets" "/run/credentials/$unit" && made=yes
  fi
  status=0
  CREDENTIALS_DIRECTORY=$secrets "$base/$new/bin/eeg-copilot" check-config "$file" >/dev/null || status=$?
  [ -z "$made" ] || rm "/run/credentials/$unit"
  rm -rf "$secrets"
  return "$status"
}

# Links and files for one version; the program is reached through `current` alone.
point() {
  ln -sfn "$1" "$base/current.new" && mv -T "$base/current.new" "$base/current"
  share=$base/$1/share/systemd
  if [ -n "${UNITS:-}" ]; then
    mkdir -p "$UNITS" && install -m 644 "$share"/*.service "$UNITS/"
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    for kind in eeg-copilot.service eeg-copilot@.service; do
      rm -f "$UNITS/$kind.d/notify-reload.conf"
      [ "$version" -lt 253 ] || install -D -m 644 "$share/drop-ins/notify-reload.conf" "$UNITS/$kind.d/notify-reload.conf"
    done
  fi
  [ -z "${RULES:-}" ] || install -D -m 644 "$share/70-eeg-copilot.rules" "$RULES/70-eeg-copilot.rules"
  if running; then
    systemctl daemon-reload
    udevadm control --reload 2>/dev/null || true
  fi
}

# Returns only when each has told systemd READY, and has stayed for a moment.
restart() {
  for unit in $(units); do
    systemctl reset-failed "$unit" 2>/dev/null || true
    if ! systemctl restart "$unit" 2>/dev/null || ! sleep 3 || ! systemctl --quiet is-active "$unit"; then
      reason=$(systemctl show -p StatusText --value "$unit")
      failed="$unit: ${reason:-$(systemctl show -p Result --value "$unit"), see journalctl -u $unit}"
      return 1
    fi
  done
}

compile
for unit in $(units); do
  if ! check "$unit"; then
    say "$new is not started: it refuses the configuration of $unit, see above; ${old:-nothing} goes on running"
    exit 1
  fi
done
point "$new"
failed=
if restart; then
  [ -z "$previous" ] || ln -sfn "$previous" "$base/previous"
  exit 0
fi
if [ -z "$previous" ]; then
  say "$new does not become ready, and there is no older version to go back to: $failed"
  exit 1
fi
why=$failed
point "$previous"
if restart; then
  say "$new does not become ready, $previous runs again: $why"
else
  say "$new does not become ready: $why; and now neither does $previous: $failed"
fi
exit 1
