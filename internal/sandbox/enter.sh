# The first process of a sandbox: makes its files, and runs "$@" in them.
#   SANDBOX_ROOT   an empty directory
#   SANDBOX_REPO   the repository, which is to be writable at its place
#   SANDBOX_BINDS  lines of FROM<tab>TO: what is to be seen where
set -euo pipefail
base=$SANDBOX_ROOT
root=$base/root
over() { # LOWER NAME WHERE: LOWER, writable in memory
  mkdir -p "$base/$2.upper" "$base/$2.work" "$3"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$base/$2.upper,workdir=$base/$2.work" "$3"
}
{
  mount -t tmpfs -o mode=0755 sandbox "$base"
  over / root "$root"
  mount -t proc proc "$root/proc"
  over /dev dev "$root/dev" # who removes a device there removes it there
  mount --rbind /dev/pts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 sandbox "$root/dev/shm"
  mount --rbind /sys "$root/sys"
  # Upper directories of overlays and the mount's own state do not go on an overlay.
  for dir in /tmp /run /mnt /srv /var/tmp; do
    mkdir -p "$root$dir"
    mount -t tmpfs -o mode=1777 sandbox "$root$dir"
  done
  over "$SANDBOX_REPO" repo "$root$SANDBOX_REPO"
  while IFS=$'\t' read -r from to; do
    [ -n "$from" ] || continue
    if [ -d "$from" ]; then
      mkdir -p "$root$to"
    else
      mkdir -p "$root$(dirname "$to")"
      touch "$root$to"
    fi
    mount --rbind "$from" "$root$to"
  done <<<"$SANDBOX_BINDS"
  ip link set lo up
  for address in ${SANDBOX_ADDRESSES:-}; do ip addr add "$address" dev lo; done
  cd "$PWD" # by its name in the new root
} || exit 97
unset SANDBOX_ROOT SANDBOX_REPO SANDBOX_BINDS SANDBOX_ADDRESSES TMPDIR
status=0
chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$PWD" "$@" || status=$?
exit "$status"
