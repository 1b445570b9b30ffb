#!/bin/sh
# Packs a folder made by build-tree.sh as a Debian package. dpkg-deb alone does it: the folder is a finished
# virtual environment, so debhelper and dh-virtualenv, which would build one, have nothing to do here; and the
# same folder is what `make install-service` installs. Nothing is fetched on the target.
#   deb.sh TREE OUT.deb MACHINE [COMPRESSION]     COMPRESSION as for dpkg-deb, e.g. -Zxz (default) or -Znone
set -eu
tree=$1 out=$2 machine=$3 compression=${4:--Zxz}
here=$(cd "$(dirname "$0")" && pwd)/debian
version=$(cat "$tree/VERSION")
case $machine in x86_64) arch=amd64;; aarch64) arch=arm64;; *) echo "deb: no Debian architecture for $machine" >&2; exit 2;; esac
interpreter=$(basename "$(readlink "$tree/bin/python3")")
[ "$(readlink "$tree/bin/python3")" = "/usr/bin/$interpreter" ] || {
  echo "deb: the folder was built for $(readlink "$tree/bin/python3"), a package needs Debian's own /usr/bin/python3.x" >&2; exit 2; }
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}"

stage=$(mktemp -d) && trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
doc=$stage/usr/share/doc/eeg-copilot
mkdir -p "$stage/DEBIAN" "$stage/usr/bin" "$stage/usr/lib/eeg-copilot" "$stage/etc/eeg-copilot" "$doc" \
  "$stage/lib/systemd/system" "$stage/lib/udev/rules.d" "$stage/usr/share/lintian/overrides" "$stage/usr/share/man/man1"
cp -a "$tree" "$stage/usr/lib/eeg-copilot/$version"
lib=$stage/usr/lib/eeg-copilot/$version
find "$lib" -name __pycache__ -prune -exec rm -rf {} +
# Wheels mark whatever they like as executable; programs are in bin/ alone.
find "$lib/lib" -type f -exec chmod 644 {} +
printf '#!/bin/sh\nexec /usr/lib/eeg-copilot/current/bin/eeg-copilot "$@"\n' > "$stage/usr/bin/eeg-copilot"
chmod 755 "$stage/usr/bin/eeg-copilot"
mv "$lib"/share/systemd/*.service "$stage/lib/systemd/system/"
mv "$lib/share/systemd/70-eeg-copilot.rules" "$stage/lib/udev/rules.d/"
mv "$lib/share/eeg-copilot.toml" "$stage/etc/eeg-copilot/"
mv "$lib/share/doc/operations.md" "$lib/share/examples" "$doc/"
gzip -9nc "$lib/share/doc/CHANGELOG.md" > "$doc/CHANGES.md.gz"
rm -r "$lib/share/doc"
chmod 644 "$stage"/etc/eeg-copilot/* "$stage"/lib/*/*/*

stamp=$(date -u -R -d "@$SOURCE_DATE_EPOCH")
maintainer="EEG Emotion Copilot developers <noreply@eeg-copilot.invalid>"
printf 'eeg-copilot (%s) unstable; urgency=medium\n\n  * What changed is told in CHANGES.md.gz.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$stamp" | gzip -9nc > "$doc/changelog.gz"
sed "s/@DATE@/$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)/" "$here/eeg-copilot.1" | gzip -9nc > "$stage/usr/share/man/man1/eeg-copilot.1.gz"
{ cat "$here/copyright"; "$here/licences.sh" "$lib"; } > "$doc/copyright"
cp "$here/lintian-overrides" "$stage/usr/share/lintian/overrides/eeg-copilot"

size=$(du -sk --apparent-size "$stage" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@PYTHON@/$interpreter/; s/@MAINTAINER@/$maintainer/" \
  "$here/control" > "$stage/DEBIAN/control"
echo /etc/eeg-copilot/eeg-copilot.toml > "$stage/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do
  sed "s/@VERSION@/$version/" "$here/$script" > "$stage/DEBIAN/$script" && chmod 755 "$stage/DEBIAN/$script"
done
(cd "$stage" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) > "$stage/DEBIAN/md5sums"
mkdir -p "$(dirname "$out")"
# dpkg in Debian 12 prunes empty folders of removed packages itself; ownership is root's whoever builds.
# shellcheck disable=SC2086 (several options)
dpkg-deb --root-owner-group $compression --build "$stage" "$out" >/dev/null
