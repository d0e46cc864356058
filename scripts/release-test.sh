#!/usr/bin/env bash
# Makes a release of the commit that is checked out, twice, and tries it: a Debian in a directory in which the package is installed, upgraded
# from the version before, removed and purged; the rpm; the images; the build for arm64 under qemu. Gets what that needs where that
# is possible; what can't be tried is said.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
for need in mmdebstrap:mmdebstrap systemd-nspawn:systemd-container rpm:rpm qemu-aarch64-static:qemu-user-static skopeo:skopeo; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need#*:}")
done
if [ "${#missing[@]}" -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}" || echo "could not install ${missing[*]}" >&2
fi
if [ -n "$(git status --porcelain)" ]; then
  echo "what is not committed is not part of the release that is tried:" >&2
  git status --short >&2
fi
export UCP_RELEASE_TEST=1
exec go -C tools/release test -count=1 -timeout 45m -v -run "${ONLY:-.}" ./...
