#!/bin/sh
# One stanza a bundled package, from its own metadata.
set -eu
for metadata in "$1"/lib/python3*/site-packages/*.dist-info/METADATA; do
  name=$(sed -n 's/^Name: //p' "$metadata" | head -1)
  [ "$name" != eeg-emotion-copilot ] || continue
  licence=$(sed -n 's/^License-Expression: //p; s/^License: //p; s/^Classifier: License :: OSI Approved :: //p' "$metadata" | head -1)
  author=$(sed -n 's/^Author: //p; s/^Author-email: //p; s/^Maintainer: //p' "$metadata" | head -1)
  folder=$(basename "$(dirname "$metadata")")
  short=$(printf '%s' "${licence:-see its dist-info}" | head -1 | tr -c 'A-Za-z0-9.+-' '-' | cut -c1-40)
  printf 'Files: usr/lib/eeg-copilot/*/lib/*/site-packages/%s/*\nCopyright: %s\nLicense: %s-%s\n %s: see %s.\n\n' \
    "$folder" "${author:-the authors of $name}" "$name" "$short" "${licence:-Its own licence}" "$folder"
done
