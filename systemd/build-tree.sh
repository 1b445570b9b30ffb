#!/bin/sh
# Builds what is installed: one folder with everything but the Python interpreter, for `make deb` and
# `make install-service` alike. Needs no root and touches nothing outside OUT.
#   build-tree.sh OUT UV INTERPRETER MACHINE
#     UV           the uv program: it installs for other machines and other Pythons than the one it runs on
#     INTERPRETER  what the folder's bin/python3 will point to on the target, as /usr/bin/python3.11
#     MACHINE      x86_64 or aarch64
set -eu
out=$1 uv=$2 interpreter=$3 machine=$4
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
python=$(basename "$interpreter" | sed 's/^python//')
case $python in 3.1[1-9]) ;; *) echo "build-tree: $interpreter: its name must say which Python it is, as python3.11" >&2; exit 2;; esac
site=$out/lib/python$python/site-packages
# glibc 2.36 is Debian 12's; wheels for older ones fit as well.
platform=$machine-manylinux_2_36

rm -rf "$out" && mkdir -p "$out/bin" "$site" "$out/share/systemd/drop-ins" "$out/share/doc"
wheels=$(mktemp -d) && trap 'rm -rf "$wheels"' EXIT
"$uv" build --quiet --no-config --wheel --out-dir "$wheels" "$root"
"$uv" pip install --quiet --no-config --target "$site" --python-version "$python" --python-platform "$platform" \
  --only-binary :all: --link-mode copy -c "$root/constraints.txt" "eeg-emotion-copilot[metrics,monitor] @ file://$(echo "$wheels"/*.whl)"

# A virtual environment, as `python -m venv` would leave it, without pip: nothing is ever added to it.
ln -s "$interpreter" "$out/bin/python3"
printf 'home = %s\ninclude-system-site-packages = false\nversion = %s\n' "$(dirname "$interpreter")" "$python" > "$out/pyvenv.cfg"
cat > "$out/bin/eeg-copilot" <<'LAUNCHER'
#!/bin/sh
# The folder may lie anywhere: everything is found from here.
here=$(dirname "$(readlink -f "$0")")
[ ! -f "$here/../lib/liblsl.so" ] || export PYLSL_LIB="${PYLSL_LIB:-$here/../lib/liblsl.so}"
exec "$here/python3" -I -m daemon "$@"
LAUNCHER
chmod 755 "$out/bin/eeg-copilot"
# uv's own scripts name the builder's interpreter.
rm -rf "$site/bin" "$site/.lock"

# pylsl brings liblsl for x86-64 only; MNE-LSL's wheel has it for arm64 too. Only the library is taken.
if [ "$machine" = aarch64 ]; then
  "$uv" pip install --quiet --no-config --no-deps --target "$wheels/mne" --python-version "$python" \
    --python-platform "$platform" --only-binary :all: mne-lsl==1.14.0
  cp "$(find "$wheels/mne" -name "liblsl.so*" | head -1)" "$out/lib/liblsl.so"
fi

# A third of the set is of no use on the target: other systems' libraries, tests, type stubs, headers.
find "$site" \( -name '*.dll' -o -name '*.dylib' -o -name '*.exe' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \
  -o -name '*.h' -o -name '*.a' -o -name '*.f90' \) -type f -delete
find "$site/numpy" "$site/scipy" "$site/pywt" "$site/pydantic" "$site/reportlab" \
  -type d \( -name tests -o -name testing \) -prune -exec sh -c '
    for folder; do case $folder in */numpy/testing|*/scipy/*testing|*/numpy/_core/tests) ;; *) rm -rf "$folder";; esac; done' sh {} +
# ReportLab's fonts to embed: PDF's own need no file, and any other is given by its path. A driver for Raspberry Pi.
rm -f "$site"/reportlab/fonts/*.pfb "$site"/reportlab/fonts/*.ttf "$site"/brainflow/lib/libunicorn_raspberry.so
find "$out" -name __pycache__ -prune -exec rm -rf {} +

cp "$here"/*.service "$here/70-eeg-copilot.rules" "$out/share/systemd/"
cp "$here"/drop-ins/*.conf "$out/share/systemd/drop-ins/"
cp "$here/eeg-copilot.toml" "$here/activate.sh" "$here/grafana/eeg-copilot.json" "$out/share/"
mkdir -p "$out/share/examples"
cp -R "$here/monitor.toml" "$here/reader.toml" "$here/mosquitto" "$out/share/examples/"
cp "$root/docs/operations.md" "$root/LICENSE" "$root/CHANGELOG.md" "$out/share/doc/"
sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1 > "$out/VERSION"
find "$out" -type d -exec chmod 755 {} + && chmod -R u+w,go-w,a+rX "$out"
