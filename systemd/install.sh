#!/bin/sh
# Installs a folder made by build-tree.sh as a service of this machine, without a package manager. Needs root.
#   install.sh install TREE    also the upgrade: the old version is kept and comes back where the new one fails
#   install.sh rollback        back to the version before
#   install.sh uninstall       the configuration in /etc/eeg-copilot and the state in /var/lib stay
set -eu
base=/opt/eeg-copilot etc=/etc/eeg-copilot
export UNITS=/usr/local/lib/systemd/system RULES=/etc/udev/rules.d

refuse() { echo "eeg-copilot: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || refuse "run this as root: sudo $0 $*"
command -v systemctl >/dev/null || refuse "there is no systemd here: run \`eeg-copilot run\` from your own supervisor"
[ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 252 ] || refuse "systemd 252 or newer is needed (Debian 12)"

installed() {
  tree=$1
  [ -x "$tree/bin/eeg-copilot" ] || refuse "$tree: not a folder made by systemd/build-tree.sh"
  if dpkg-query -W -f '${db:Status-Status}' eeg-copilot 2>/dev/null | grep -q '^installed$'; then
    refuse "the Debian package eeg-copilot is installed: upgrade that, or remove it first (apt remove eeg-copilot)"
  fi
  interpreter=$(readlink -f "$tree/bin/python3")
  # ProtectHome hides these from the service.
  case $interpreter in
    /root/*|/home/*|/run/user/*) refuse "$interpreter lies in a home, where the service may not look: use SERVICE_PYTHON=/usr/bin/python3.11";;
  esac
  [ -x "$interpreter" ] || refuse "$(readlink "$tree/bin/python3") is not on this machine: apt install python3"
  # Two builds of one version are two releases.
  name=releases/$(cat "$tree/VERSION")-$(cd "$tree" && find . -type f ! -name '*.pyc' -exec sha256sum {} + | sort -k2 | sha256sum | cut -c1-8)
  mkdir -p "$base/releases"
  if [ ! -d "$base/$name" ]; then
    rm -rf "$base/$name.part" && cp -a "$tree" "$base/$name.part" && chown -R root:root "$base/$name.part"
    mv "$base/$name.part" "$base/$name"
  fi
  mkdir -p "$etc" && chmod 755 "$etc"
  install -d -m 700 /etc/credstore
  [ -e "$etc/eeg-copilot.toml" ] || install -m 644 "$tree/share/eeg-copilot.toml" "$etc/eeg-copilot.toml"
  ln -sfn "$base/current/bin/eeg-copilot" /usr/local/bin/eeg-copilot
  sh "$base/$name/share/activate.sh" "$base" "$name"
  # What runs and what it replaced are kept; older ones go.
  for release in "$base"/releases/*; do
    case releases/${release##*/} in "$(readlink "$base/current")"|"$(readlink "$base/previous" 2>/dev/null)") ;; *) rm -rf "$release";; esac
  done
  echo "eeg-copilot $(cat "$tree/VERSION") is installed."
  systemctl --quiet is-enabled eeg-copilot 2>/dev/null || cat <<NEXT
Next: edit $etc/eeg-copilot.toml, then  systemctl enable --now eeg-copilot  and  eeg-copilot doctor
NEXT
}

case ${1:-} in
  install) installed "${2:?the folder}";;
  rollback)
    previous=$(readlink "$base/previous" 2>/dev/null) || refuse "there is no version to go back to"
    current=$(readlink "$base/current")
    sh "$base/$previous/share/activate.sh" "$base" "$previous" && ln -sfn "$current" "$base/previous";;
  uninstall)
    for unit in $(systemctl list-units --all --plain --no-legend 'eeg-copilot*.service' | cut -d' ' -f1) eeg-copilot.service eeg-copilot-monitor.service; do
      systemctl --quiet disable --now "$unit" 2>/dev/null || true
    done
    rm -rf "$base" "$UNITS"/eeg-copilot*.service "$UNITS"/eeg-copilot*.service.d "$RULES/70-eeg-copilot.rules" /usr/local/bin/eeg-copilot
    systemctl daemon-reload
    echo "eeg-copilot is removed. Kept: $etc, /etc/credstore/eeg-copilot*, /var/lib/private/eeg-copilot*; delete them by hand.";;
  *) refuse "usage: install.sh install TREE | rollback | uninstall";;
esac
